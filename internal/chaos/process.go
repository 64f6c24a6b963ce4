package chaos

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"time"
)

// process is a child process in a process group of its own. The child ends when the parent closes
// the child's stdin.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // the pipe to the stdin of the child
	ended chan struct{}  // closed when the process has ended
}

// startProcess starts cmd. The caller must call kill or close.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = childAttributes()
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
		_ = cmd.Wait() // the error is not needed, because the output of the process shows why it ended
	}()
	return p, nil
}

func (p *process) suspend() error { return suspendGroup(p.cmd.Process) }
func (p *process) resume() error  { return resumeGroup(p.cmd.Process) }

// kill kills the process and its children, and waits until the process has ended.
func (p *process) kill() {
	select {
	case <-p.ended: // the process ID may already belong to another process
		return
	default:
	}
	_ = killGroup(p.cmd.Process)
	<-p.ended
}

// leaveTime is the time within which a child process or a target must end by itself.
const leaveTime = 5 * time.Second

// close closes the stdin of the process, so that the process ends by itself. If the process
// runs for 5 s more (the constant leaveTime), close kills it.
func (p *process) close() {
	_ = p.resume()
	_ = p.stdin.Close()
	timer := time.NewTimer(leaveTime)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.kill()
	}
}

// running reports whether the process has not ended. A suspended process is running, too.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// errEnded means that a child process ended unexpectedly.
var errEnded = errors.New("the process has ended by itself")

// logFile opens a file for the output of a child process. Output is added to an existing file.
func logFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}
