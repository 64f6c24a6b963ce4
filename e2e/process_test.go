//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take here before the test fails. It is long, because a
// test that passes does not wait for it, and the machine may be busy.
const patience = 3 * time.Minute

// process is a running program. A test can wait for a line of its output.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{} // closed after the process has ended and lines has all its lines
	err   error

	mu      sync.Mutex
	lines   []string
	changed chan struct{}
}

// start starts a program in a process group of its own. The program is killed when the test
// ends.
func start(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...), ended: make(chan struct{}), changed: make(chan struct{})}
	p.cmd.Dir, p.cmd.SysProcAttr = dir, &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "NO_COLOR=1")
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		w.Close()
	}()
	go func() {
		defer close(p.ended)
		p.read(r)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			t.Logf("%s said:\n%s", p.cmd, p.text())
		}
	})
	return p
}

// read reads lines of any length until the output ends.
func (p *process) read(r io.Reader) {
	for b := bufio.NewReader(r); ; {
		line, err := b.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); err == nil || line != "" {
			p.add(line)
		}
		if err != nil {
			return
		}
	}
}

func (p *process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// line waits for a line of output that matches the pattern, and returns the submatches.
func (p *process) line(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		ended := p.hasEnded() // before the lines are read, so that none is missed
		p.mu.Lock()
		lines, changed := p.lines, p.changed
		p.mu.Unlock()
		for _, l := range lines {
			if m := re.FindStringSubmatch(l); m != nil {
				return m
			}
		}
		if ended {
			p.t.Fatalf("%s ended (%v) without a line like %s", p.cmd, p.err, pattern)
		}
		select {
		case <-changed:
		case <-p.ended:
		case <-late:
			p.t.Fatalf("%s: no line like %s", p.cmd, pattern)
		}
	}
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// wait waits until the program has ended, and returns its exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.cmd)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop sends a signal to the program, and requires that the program ends with exit code 0.
func (p *process) stop(s syscall.Signal) {
	p.t.Helper()
	p.signal(s)
	if code := p.wait(); code != 0 {
		p.t.Errorf("%s: exit %d after %v, want 0", p.cmd, code, s)
	}
}

// call runs a program until it ends, and returns its output and exit code.
func call(t *testing.T, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "USER=ann")
	var out, talk strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return out.String(), talk.String(), cmd.ProcessState.ExitCode()
}

// coordinator starts a coordinator on free ports. It returns the HOST:PORT of its gRPC listener
// and of its HTTP listener.
func coordinator(t *testing.T, args ...string) (p *process, grpc, http string) {
	t.Helper()
	p = start(t, t.TempDir(), meshhealth, append([]string{"coordinator", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...)...)
	var at struct{ GRPC, HTTP string }
	line := p.line(`\{.*"listening".*\}`)[0]
	if err := json.Unmarshal([]byte(line), &at); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return p, at.GRPC, at.HTTP
}
