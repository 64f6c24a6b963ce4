//go:build linux

package bed

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds waiting for what is sure to come.
const patience = 60 * time.Second

// Command is a program that a test starts.
type Command struct {
	Name string   // names the program in messages and log files
	Path string   // the file of the program
	Args []string // without the name of the program
	Env  []string // added to the environment of the test
	Dir  string   // the folder for log files, and the working directory
	// Ready says why the program is not ready, or nil. It is called every 10 ms until it returns nil.
	// If Ready is nil, the program is ready at once.
	Ready func(context.Context) error
}

// Process is a program that runs until the end of its test. It can be ended, started again and
// stopped for a while.
type Process struct {
	t       testing.TB
	command Command
	starts  int
	log     string
	cmd     *exec.Cmd     // nil while the program does not run
	ended   chan struct{} // closed when the program has ended
	// Took is the time from the last start to the first moment when the program was ready.
	Took time.Duration
}

// Launch starts a program and waits until it is ready. The test fails if that takes longer than a
// minute, or if the program ends before.
func Launch(t testing.TB, command Command) *Process {
	t.Helper()
	p := &Process{t: t, command: command}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", command.Name, tail(p.log))
		}
	})
	p.Start()
	return p
}

// Start starts the program again after Kill or Terminate, and waits until it is ready.
func (p *Process) Start() {
	p.t.Helper()
	if p.cmd != nil {
		p.t.Fatalf("%s runs already", p.command.Name)
	}
	began := time.Now()
	if err := p.start(); err != nil {
		p.t.Fatalf("%s could not be started: %v", p.command.Name, err)
	}
	if err := p.await(); err != nil {
		p.t.Fatalf("%s: %v", p.command.Name, err)
	}
	p.Took = time.Since(began)
}

func (p *Process) start() error {
	p.starts++
	p.log = filepath.Join(p.command.Dir, fmt.Sprintf("%s-%d.log", p.command.Name, p.starts))
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.command.Path, p.command.Args...)
	cmd.Dir = p.command.Dir
	cmd.Env = append(os.Environ(), p.command.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	p.cmd, p.ended = cmd, ended
	return nil
}

// await waits until the program is ready.
func (p *Process) await() error {
	if p.command.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.command.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("ended while it started: %v", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("is not ready after %v: %w", patience, err)
		case <-tick.C:
		}
	}
}

// Kill ends the program and its children at once. It returns when the program has ended.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Terminate asks the program to end, and returns when it has ended. A program that does not end
// within a minute fails the test and is killed.
func (p *Process) Terminate() { p.end(syscall.SIGTERM) }

func (p *Process) end(s syscall.Signal) {
	p.t.Helper()
	if p.cmd == nil {
		return
	}
	pid := p.cmd.Process.Pid
	_ = syscall.Kill(-pid, s)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Errorf("%s did not end within %v after %v", p.command.Name, patience, s)
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		<-p.ended
	}
	p.cmd = nil
}

// Pause stops the program until Resume: it answers nothing, and its connections stay open. It returns
// when all threads have stopped.
func (p *Process) Pause() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	for {
		err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			p.t.Fatalf("%s did not stop: %v", p.command.Name, err)
		}
	}
}

// Resume continues a paused program.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

// Running reports whether the program has been started and has not ended.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// PID returns the process ID, or 0 while the program does not run.
func (p *Process) PID() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Log returns the file with the output of the last start.
func (p *Process) Log() string { return p.log }

// Resident returns the memory of the program in bytes (the resident set).
func (p *Process) Resident() int64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		p.t.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		p.t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

func (p *Process) signal(s syscall.Signal) {
	p.t.Helper()
	if p.cmd == nil {
		p.t.Fatalf("%s does not run", p.command.Name)
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil {
		p.t.Fatalf("%s: %v: %v", p.command.Name, s, err)
	}
}

// tail returns the last lines of a file.
func tail(name string) string {
	const lines = 25
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	var b strings.Builder
	for _, line := range all[max(0, len(all)-lines):] {
		b.Write(line[:min(len(line), 500)])
		b.WriteByte('\n')
	}
	return b.String()
}

// The ports for programs of tests. They are below the ports that Linux gives to outgoing connections
// (net.ipv4.ip_local_port_range). A connection could otherwise take the port before the program listens.
const (
	firstPort = 20_000
	numPorts  = 12_000
)

// lastPort is the number of the port that FreePort has returned last. No port is returned twice soon, and
// other test processes begin elsewhere.
var lastPort atomic.Uint32

func init() { lastPort.Store(rand.Uint32N(numPorts)) }

// FreePort returns an address on 127.0.0.1 with a port that nobody uses.
func FreePort(t testing.TB) string {
	t.Helper()
	for range numPorts {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", firstPort+lastPort.Add(1)%numPorts))
		if err != nil {
			continue // another program uses the port
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatalf("no port from %d to %d is free", firstPort, firstPort+numPorts-1)
	return ""
}
