package coordinator

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// full is a store that refuses commits while is is true.
type full struct {
	store.Store
	is atomic.Bool
}

func (f *full) Commit(ctx context.Context, b *store.Batch) error {
	if f.is.Load() {
		return errors.New("write /var/lib/meshhealth/meshhealth.db: no space left on device")
	}
	return f.Store.Commit(ctx, b)
}

// TestStartWithAFailingStore: a coordinator with a failing store starts DEGRADED and follows
// a new target of its configuration. It stores the target when the store works. The same
// holds for a reload.
func TestStartWithAFailingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := &full{Store: keeping{store.NewMemory(0)}}
		under.is.Store(true)
		refused := func(context.Context, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		c, err := New(t.Context(), Config{
			Listener: bufconn.Listen(1 << 16), HTTP: Off, Store: under, Static: target("old"), Dial: Dial{Context: refused},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		is := func(service string, want health.Status) {
			t.Helper()
			synctest.Wait()
			if e, ok := c.registry.Feed().Get(health.ParseID(service)); !ok || e.Status != want {
				t.Errorf("%q is there: %v, %+v; want %v", service, ok, e, want)
			}
		}
		time.Sleep(5 * time.Second)
		is("", health.Degraded)
		var page recorder
		if c.readyz(ctx, &page); page.code != 200 || page.String() != "DEGRADED failed\n" {
			t.Errorf("/readyz tells strangers: %d %q", page.code, page.String())
		}
		is("old/1", health.NotServing) // it is followed
		if err := c.Reload(ctx, append(target("old"), target("new")...), nil); err != nil {
			t.Errorf("a reload: %v", err)
		}
		if _, ok := c.registry.Feed().Get(health.ID{Service: "new", Instance: "1"}); !ok {
			t.Error("what is reloaded is not there")
		}
		under.is.Store(false)
		time.Sleep(5 * time.Second)
		is("", health.Serving)
		state, err := under.Load(ctx)
		if err != nil || len(state.Registrations) != 2 {
			t.Errorf("stored are %+v, %v", state.Registrations, err)
		}
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}
