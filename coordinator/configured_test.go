package coordinator

import (
	"context"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// keeping is a store that stays open when its coordinator closes it.
type keeping struct{ store.Store }

func (keeping) Close() error { return nil }

// TestStaticFollowsConfiguration: a target that the configuration no longer lists is removed
// at the next start. An instance that was registered over the API stays.
func TestStaticFollowsConfiguration(t *testing.T) {
	kept := keeping{store.NewMemory(0)}
	byHand := store.Registration{ID: health.ID{Service: "legacy", Instance: "hand"}, Address: "127.0.0.1:1", Static: true, Lease: 1}
	if err := kept.Commit(t.Context(), &store.Batch{PutRegistrations: []store.Registration{byHand}}); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{{"a", "b"}, {"b"}, {}} {
		synctest.Test(t, func(t *testing.T) {
			cfg := Config{Listener: bufconn.Listen(1 << 16), HTTP: Off, Store: kept}
			for _, n := range names {
				cfg.Static = append(cfg.Static, Target{Service: "legacy", Instance: n, Address: "127.0.0.1:2"})
			}
			c, err := New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- c.Run(ctx) }()
			synctest.Wait()
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
		state, err := kept.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(state.Registrations), len(names)+1; got != want {
			t.Errorf("with %v: %d registrations, want %d: %v", names, got, want, state.Registrations)
		}
	}
}
