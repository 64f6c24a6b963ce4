package chaos

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"time"
)

// process is a child of ours, in a group of its own. It ends when its stdin
// does: the other end is ours.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
}

// launch starts cmd; end must follow.
func launch(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = attr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	p := &process{cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is seen by what it did before
	}()
	return p, nil
}

func (p *process) stop() error { return stopGroup(p.cmd.Process) }
func (p *process) cont() error { return contGroup(p.cmd.Process) }

// kill ends it without a word, and waits for that.
func (p *process) kill() {
	select {
	case <-p.ended: // its number may be another's by now
		return
	default:
	}
	_ = killGroup(p.cmd.Process)
	<-p.ended
}

// leaveTime is how long a process may take to end by itself.
const leaveTime = 5 * time.Second

// leave lets it end by itself, and kills it if it does not.
func (p *process) leave() {
	_ = p.cont()
	_ = p.stdin.Close()
	timer := time.NewTimer(leaveTime)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.kill()
	}
}

// running reports whether it has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// pid is that of the process.
func (p *process) pid() int { return p.cmd.Process.Pid }

// errEnded: a child ended that should not have.
var errEnded = errors.New("the process has ended by itself")

// logFile opens a file that takes what a child says.
func logFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}
