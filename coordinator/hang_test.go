package coordinator

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
)

// hung is a store on a disk that does not answer until released is closed.
type hung struct {
	store.Store
	commits, closes bool // which method hangs
	released        chan struct{}
}

func (h *hung) Commit(ctx context.Context, b *store.Batch) error {
	if h.commits {
		<-h.released
	}
	return h.Store.Commit(ctx, b)
}

func (h *hung) Close() error {
	if h.closes {
		<-h.released
	}
	return h.Store.Close()
}

// TestStopWithAHungStore: Run ends in limited time, and its error names the store.
func TestStopWithAHungStore(t *testing.T) {
	for what, c := range map[string]struct {
		commits, closes bool
		want            string
	}{
		"commit": {true, true, "has not ended within 5s of the end: records that waited for it may be lost; the store is not closed"},
		"close":  {false, true, "the store is not closed within 5s"},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				under := &hung{store.NewMemory(0), c.commits, c.closes, make(chan struct{})}
				defer close(under.released) // otherwise the bubble would not end
				co, err := New(t.Context(), Config{Listener: bufconn.Listen(1 << 16), HTTP: Off, Store: under})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- co.Run(ctx) }()
				time.Sleep(4 * time.Second)
				if e, ok := co.registry.Feed().Get(health.ID{}); !ok || (e.Status == health.Degraded) != c.commits {
					t.Errorf("it is %+v", e)
				}
				var state pb.GetCoordinatorResponse
				co.stats.describe(&state)
				if c.commits && (state.GetStoreError() == "" || state.GetStoreCommitAge().AsDuration() < registry.SlowCommit) ||
					!c.commits && (state.GetStoreError() != "" || state.GetStoreCommitAge() != (*durationpb.Duration)(nil)) {
					t.Errorf("its state: %q, %v", state.GetStoreError(), state.GetStoreCommitAge())
				}
				if failing := co.stats.metrics().StoreFailing; failing != c.commits {
					t.Errorf("the metrics say that the store fails: %v, want %v", failing, c.commits)
				}
				stop()
				stopped := time.Now()
				if err := <-ran; err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				if took := time.Since(stopped); took > 9*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
