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

// patience is the longest time for which a test waits for a condition.
const patience = 60 * time.Second

// process is a running program. A test can wait for a line of its output.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
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
	go p.read(r)
	go func() {
		p.err = p.cmd.Wait()
		w.Close()
		close(p.ended)
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

func (p *process) read(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
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
		p.mu.Lock()
		lines, changed := p.lines, p.changed
		p.mu.Unlock()
		for _, l := range lines {
			if m := re.FindStringSubmatch(l); m != nil {
				return m
			}
		}
		select {
		case <-changed:
		case <-p.ended:
			p.t.Fatalf("%s ended (%v) without a line like %s", p.cmd, p.err, pattern)
		case <-late:
			p.t.Fatalf("%s: no line like %s", p.cmd, pattern)
		}
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
