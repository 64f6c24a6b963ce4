package client

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// TestWatchEndsWithItsDeadline checks that a Watch ends with its deadline, without an outage
// before. The stream has no deadline, so that the coordinator cannot end it first.
func TestWatchEndsWithItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.script(func(_ int, stream watchStream) error {
			if d, ok := stream.Context().Deadline(); ok {
				t.Errorf("the stream has a deadline, in %v", time.Until(d))
			}
			if err := stream.Send(&pb.WatchResponse{Snapshot: true, SnapshotEnd: true}); err != nil {
				return err
			}
			<-stream.Context().Done()
			return stream.Context().Err()
		})
		w.up()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		updates, began := 0, time.Now()
		for u, err := range w.client().Watch(ctx, WatchOptions{}) {
			switch {
			case err != nil && !errors.Is(err, context.DeadlineExceeded):
				t.Error(err)
			case u.Stale:
				t.Errorf("an outage: %v", u.Err)
			}
			updates++
		}
		if updates != 2 || time.Since(began) != 5*time.Second {
			t.Errorf("%d updates, after %v", updates, time.Since(began))
		}
	})
}
