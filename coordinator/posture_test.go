package coordinator

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/logs/logtest"
)

// TestInsecureOpenIsLogged checks that a coordinator with InsecureOpen logs a warning at the start and every hour, and
// has the metric. No other coordinator does so.
func TestInsecureOpenIsLogged(t *testing.T) {
	for _, open := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var logged logtest.Record
			c, err := New(t.Context(), Config{Listener: bufconn.Listen(1 << 16), HTTP: Off, InsecureOpen: open, Logger: logged.Logger()})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- c.Run(ctx) }()
			for hour := range 3 {
				want := 0
				if open {
					want = hour + 1
				}
				if lines := logged.Lines("WARN"); len(lines) != want || open && !strings.Contains(lines[0], "insecure_open: everybody") {
					t.Errorf("%v, after %d hours: %q, want %d warnings", open, hour, lines, want)
				}
				time.Sleep(time.Hour)
			}
			if got := c.stats.metrics().InsecureOpen; got != open {
				t.Errorf("the metric says %v, want %v", got, open)
			}
			stop()
			if err := <-ran; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTwoTroubles checks that the store and the access policy file make the coordinator DEGRADED, alone and
// together. Each reason ends by itself.
func TestTwoTroubles(t *testing.T) {
	const file, disk = "access_policy: the file cannot be used", "no space left on device"
	synctest.Test(t, func(t *testing.T) {
		under := &full{Store: keeping{store.NewMemory(0)}}
		c, err := New(t.Context(), Config{Listener: bufconn.Listen(1 << 16), HTTP: Off, Store: under})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		is := func(want health.Status, texts ...string) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			e, _ := c.registry.Feed().Get(health.ID{})
			if e.Status != want || want == health.Serving && e.Reason != "" {
				t.Errorf("%v %q, want %v", e.Status, e.Reason, want)
			}
			for _, text := range texts {
				if !strings.Contains(e.Reason, text) {
					t.Errorf("the reason %q has no %q", e.Reason, text)
				}
			}
			if failing := c.registry.Stats().StoreError != ""; failing != under.is.Load() {
				t.Errorf("the store is failing: %v, want %v", failing, under.is.Load())
			}
		}
		note := func(usable bool) {
			t.Helper()
			if err := c.NoteAccessFile(ctx, usable); err != nil {
				t.Error(err)
			}
			e, _ := c.registry.Feed().Get(health.ID{})
			if shown := strings.Contains(e.Reason, file); shown == usable {
				t.Errorf("when the call has returned, the reason is %q", e.Reason)
			}
		}
		is(health.Serving)
		note(false)
		is(health.Degraded, file)
		under.is.Store(true)
		is(health.Degraded, file, disk)
		note(true)
		is(health.Degraded, disk)
		note(false)
		under.is.Store(false)
		is(health.Degraded, file)
		note(true)
		is(health.Serving)
		if n := c.stats.metrics().AccessFaults; n != 2 {
			t.Errorf("%d failed reads, want 2", n)
		}
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}
