package coordinator

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/logs/logtest"
)

func refused(context.Context, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }

// TestBlockedLog: a log that blocks delays neither the published changes nor the end.
func TestBlockedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := logtest.Record{Blocked: make(chan struct{})}
		c, err := New(t.Context(), Config{
			Listener: bufconn.Listen(1 << 16), HTTP: Off, Store: keeping{store.NewMemory(0)}, Static: target("a"),
			Dial: Dial{Context: refused}, Logger: out.Logger(),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		time.Sleep(time.Minute)
		for _, service := range []string{"b", "c"} { // each has transitions at its start
			if err := c.Reload(ctx, append(target("a"), target(service)...), nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			e, ok := c.registry.Feed().Get(health.ParseID(service + "/1"))
			if !ok || e.Status != health.NotServing {
				t.Errorf("%s is there: %t, %+v", service, ok, e)
			}
		}
		begun := time.Now()
		stop()
		if err := <-ran; err != nil || time.Since(begun) > 10*time.Second {
			t.Errorf("Run: %v after %v", err, time.Since(begun))
		}
		close(out.Blocked)
		if all := strings.Join(append(out.Lines("INFO"), out.Lines("WARN")...), ""); !strings.Contains(all, "name=c/1") {
			t.Error("the log has nothing of c/1 in the end")
		}
	})
}

// failingListener is a listener whose Accept fails.
type failingListener struct{ net.Listener }

func (failingListener) Accept() (net.Conn, error) { return nil, errors.New("the listener broke") }

// TestEndIsLogged: an error of Run goes to the default log if Config.Logger is not set.
func TestEndIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Record
		out.AsDefault(t)
		c, err := New(t.Context(), Config{Listener: failingListener{bufconn.Listen(1)}, HTTP: Off, Static: target("a"), Dial: Dial{Context: refused}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context()); err == nil {
			t.Error("Run: no error")
		}
		out.Want(t, "ERROR", "the listener broke")
		if lines := out.Lines("INFO"); len(lines) > 0 {
			t.Errorf("logged: %q", lines)
		}
	})
}
