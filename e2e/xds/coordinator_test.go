//go:build e2e || soak

package xds

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// patience is how long anything may take here before the test fails. It is long, because the machine
// may be busy, and a test that passes does not wait for it.
const patience = 3 * time.Minute

// until calls done until it returns true. what says what the test waits for.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !done(); {
		if t.Failed() {
			t.FailNow()
		}
		if time.Now().After(late) {
			t.Fatalf("after %v still waiting: %s", patience, what)
		}
	}
}

// coordinator is a process of the command `meshhealth coordinator`, with its folder.
type coordinator struct {
	t   *testing.T
	dir string
	at  string // HOST:PORT of the gRPC listener; it does not change when the process is started again
	cmd *exec.Cmd
	end chan struct{} // closed when the process has ended

	conn *grpc.ClientConn
}

// startCoordinator starts a coordinator. policy has lines of the section policy.
func startCoordinator(t *testing.T, policy ...string) *coordinator {
	t.Helper()
	c := &coordinator{t: t, dir: t.TempDir(), at: "127.0.0.1:0"}
	text := "data_dir: data\nhttp: off\npoll_every: 1s\npolicy:\n  flap_half_life: off\n  recover_hold: off\n"
	for _, line := range policy {
		text += "  " + line + "\n"
	}
	if err := os.WriteFile(filepath.Join(c.dir, "meshhealth.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start()
	t.Cleanup(c.kill)
	c.conn = dial(t, c.at)
	return c
}

// start starts the process, and waits until it listens.
func (c *coordinator) start() {
	c.t.Helper()
	c.cmd = exec.Command(meshhealth, "coordinator", "--config", "meshhealth.yaml", "--listen", c.at)
	c.cmd.Dir = c.dir
	log, err := c.cmd.StderrPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	c.cmd.Stdout = c.cmd.Stderr
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.end = make(chan struct{})
	at := make(chan string, 1)
	go func(cmd *exec.Cmd, end chan struct{}) {
		defer close(end)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var record struct{ Level, Msg, GRPC string }
			if err := json.Unmarshal(lines.Bytes(), &record); err != nil || strings.EqualFold(record.Level, "error") {
				c.t.Logf("coordinator: %s", lines.Text())
			}
			if record.GRPC != "" {
				at <- record.GRPC
			}
		}
		_ = cmd.Wait()
	}(c.cmd, c.end)
	select {
	case c.at = <-at:
	case <-c.end:
		c.t.Fatal("the coordinator has ended")
	case <-time.After(patience):
		c.t.Fatal("the coordinator does not listen")
	}
}

func (c *coordinator) signal(s syscall.Signal) {
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Errorf("%v to the coordinator: %v", s, err)
	}
}

// kill ends the process without a warning.
func (c *coordinator) kill() {
	_ = c.cmd.Process.Kill()
	<-c.end
}

// forget deletes all that the coordinator has stored.
func (c *coordinator) forget() {
	c.t.Helper()
	if err := os.RemoveAll(filepath.Join(c.dir, "data")); err != nil {
		c.t.Fatal(err)
	}
}

// memory returns the memory of the process in MiB.
func (c *coordinator) memory() int {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		c.t.Skipf("NOT RUN: the memory of a process is not in /proc: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		c.t.Fatal(err)
	}
	return kib >> 10
}

// command runs a command of meshhealth, and returns its output.
func (c *coordinator) command(args ...string) string {
	c.t.Helper()
	cmd := exec.Command(meshhealth, append(args, "--coordinator", c.at)...)
	cmd.Env = append(os.Environ(), "USER=ann")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// newClient returns a client that connects to the coordinator at an address.
func newClient(t *testing.T, at string) *client.Client {
	t.Helper()
	m, err := client.New(client.Config{Coordinator: at, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// dial returns a connection to the coordinator.
func dial(t *testing.T, at string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(at, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// status returns the status of an instance, such as "SERVING".
func (c *coordinator) status(name string) string {
	c.t.Helper()
	got, err := pb.NewHealthServiceClient(c.conn).Check(c.t.Context(), &pb.CheckRequest{Service: name}, grpc.WaitForReady(true))
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimPrefix(got.GetStatus().String(), "STATUS_")
}
