package coordinator

import (
	"context"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
)

func target(service string) []Target {
	return []Target{{Service: service, Instance: "1", Address: "127.0.0.1:1"}}
}

// TestReloadAtStart: the targets of a reload during the start replace those of the start.
func TestReloadAtStart(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(t.Context(), Config{Listener: bufconn.Listen(1 << 16), HTTP: Off, Static: target("old")})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			reloaded, ran := make(chan error, 1), make(chan error, 1)
			go func() { reloaded <- c.Reload(ctx, target("new"), nil) }()
			go func() { ran <- c.Run(ctx) }()
			if err := <-reloaded; err != nil {
				t.Error(err)
			}
			synctest.Wait()
			for service, want := range map[string]bool{"old": false, "new": true} {
				if _, is := c.registry.Feed().Get(health.ID{Service: service}); is != want {
					t.Errorf("%s is registered: %v, want %v", service, is, want)
				}
			}
			stop()
			if err := <-ran; err != nil {
				t.Error(err)
			}
		})
	}
}
