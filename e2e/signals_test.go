//go:build e2e

package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// starting starts a coordinator whose configuration file is a named pipe, and waits until the
// coordinator has opened the pipe. The coordinator continues its start when the test writes
// to the returned end of the pipe.
func starting(t *testing.T) (p *process, config *os.File) {
	t.Helper()
	pipe := t.TempDir() + "/meshhealth.yaml"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, t.TempDir(), meshhealth, "coordinator", "--memory", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--config", pipe)
	config, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { config.Close() })
	return p, config
}

// TestHangupDuringStart sends SIGHUP to a coordinator that is starting. The coordinator must not
// end, and must read its file again after the start. A pipe cannot be read a second time, so
// the first configuration stays in use.
func TestHangupDuringStart(t *testing.T) {
	p, config := starting(t)
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGHUP)
	if _, err := config.WriteString("services: [{service: pay, instance: a, address: \"127.0.0.1:1\"}]\n"); err != nil {
		t.Fatal(err)
	}
	config.Close()
	p.line(`"listening"`)
	p.line("was not read again; the previous one stays in use.*is no regular file")
	p.stop(syscall.SIGTERM)
}

// TestHangupWithoutAFile sends SIGHUP to a coordinator without a configuration file. The
// coordinator must log that there is no file, and continue.
func TestHangupWithoutAFile(t *testing.T) {
	p, at, _ := coordinator(t, "--memory")
	p.signal(syscall.SIGHUP)
	p.line("there is no configuration file to read again")
	if _, stderr, code := call(t, meshhealth, "history", "--coordinator", at); code != 0 {
		t.Errorf("exit %d: %s", code, stderr)
	}
	p.stop(syscall.SIGTERM)
}

// TestTermDuringStart ends a coordinator by a signal while it is starting. The exit code must be
// 0, and the log must name the signal.
func TestTermDuringStart(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p, _ := starting(t)
		p.stop(s)
		if text := p.text(); !strings.Contains(text, "stopped by a signal before it had started") || strings.Contains(text, "context canceled") {
			t.Errorf("%v: %s", s, text)
		}
	}
}

// TestHangupEndsOtherCommands checks that SIGHUP ends every other command, as it does by
// default when a terminal is closed.
func TestHangupEndsOtherCommands(t *testing.T) {
	_, at, _ := coordinator(t, "--memory")
	// If the tests run under nohup, the command inherits that SIGHUP is ignored. env undoes this.
	p := start(t, t.TempDir(), "env", "--default-signal=HUP", meshhealth, "watch", "--coordinator", at)
	p.line("watching")
	p.signal(syscall.SIGHUP)
	if p.wait(); p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGHUP {
		t.Errorf("%v", p.cmd.ProcessState)
	}
}
