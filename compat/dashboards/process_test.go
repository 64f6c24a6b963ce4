package dashboards

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// output is what a process prints. It may be used from several goroutines.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts a program, and ends it at the end of the test. If the test has failed, it logs what
// the program has printed.
func start(t *testing.T, path string, args ...string) {
	t.Helper()
	cmd, out := exec.Command(path, args...), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	// A child of the program may hold the pipes open after the program has ended.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-done
			t.Errorf("%s did not end within %v after an interrupt", path, patience)
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", path, out)
		}
	})
}

// freeAddress returns an address of loopback on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// build builds the command meshhealth.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "meshhealth")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/meshhealth")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
