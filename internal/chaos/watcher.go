package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// watcher records all updates that one Watch of a coordinator receives.
type watcher struct {
	mu   sync.Mutex
	seen []Seen             // all updates, in the order of their arrival
	view map[health.ID]Seen // last update of each name that is not removed
	// named has the names that were received so far in the snapshot that is being received.
	// It is nil at other times.
	named map[health.ID]bool
}

// startWatcher starts a watcher of the whole mesh. The watcher ends when the scenario ends.
func (r *rig) startWatcher() (*watcher, error) {
	c, err := client.New(client.Config{Coordinator: r.coordinator.at})
	if err != nil {
		return nil, err
	}
	w := &watcher{view: map[health.ID]Seen{}}
	ctx, stop := context.WithCancel(context.WithoutCancel(r.ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		for u, err := range c.Watch(ctx, client.WatchOptions{}) {
			if err == nil {
				w.addUpdate(&u)
			}
		}
	})
	r.onClose(func() { stop(); wg.Wait(); _ = c.Close() })
	return w, nil
}

func (w *watcher) addUpdate(u *client.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case u.Stale:
		w.named = nil
	case u.Snapshot && w.named == nil:
		w.named = map[health.ID]bool{}
	}
	for _, e := range u.Entries {
		w.addSeen(seenOf(e, u))
	}
	if u.SnapshotEnd {
		w.addRemoved(u.Received)
		w.named = nil
	}
}

func seenOf(e *client.Entry, u *client.Update) Seen {
	s := Seen{
		At: u.Received, ID: e.ID, State: State(e.Status.String()),
		Cause: e.Cause.String(), Unconfirmed: e.Unconfirmed, Epoch: u.Epoch, Revision: e.Revision,
	}
	if e.Removed {
		s.State = Gone
	}
	return s
}

func (w *watcher) addSeen(s Seen) {
	if w.named != nil {
		w.named[s.ID] = true
	}
	if s.State == Gone {
		delete(w.view, s.ID)
	} else {
		w.view[s.ID] = s
	}
	w.seen = append(w.seen, s)
}

// addRemoved records that each known name that is missing in the received snapshot has been
// removed.
func (w *watcher) addRemoved(at time.Time) {
	for id := range maps.Clone(w.view) {
		if !w.named[id] {
			delete(w.view, id)
			w.seen = append(w.seen, Seen{At: at, ID: id, State: Gone, Cause: "missing in a snapshot"})
		}
	}
}

// read returns all updates so far, and the last update of each name that is not removed.
func (w *watcher) read() ([]Seen, map[health.ID]Seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen), maps.Clone(w.view)
}

// patience is the longest time for which a scenario waits for a condition. If the condition is
// not true by then, the scenario fails.
const patience = 60 * time.Second

// timeoutError means that a condition did not become true within 60 s (the constant patience).
type timeoutError struct{ what string }

func (e *timeoutError) Error() string { return fmt.Sprintf("%s: not within %v", e.what, patience) }

// waitFor waits until the condition ok is true for the published states. It returns a
// timeoutError after 60 s (the constant patience). The parameter `what` describes the condition.
func (w *watcher) waitFor(ctx context.Context, what string, ok func(view map[health.ID]Seen) bool) error {
	there, err := w.waitAtMost(ctx, patience, ok)
	if err == nil && !there {
		err = &timeoutError{what}
	}
	return err
}

// waitAtMost waits until the condition ok is true for the published states, but not longer than
// the duration `limit`. It reports whether the condition became true.
func (w *watcher) waitAtMost(ctx context.Context, limit time.Duration, ok func(view map[health.ID]Seen) bool) (bool, error) {
	for late := time.Now().Add(limit); ; {
		w.mu.Lock()
		there := ok(w.view)
		w.mu.Unlock()
		switch {
		case there:
			return true, nil
		case time.Now().After(late):
			return false, nil
		case !sleep(ctx, 50*time.Millisecond):
			return false, ctx.Err()
		}
	}
}

// allConfirmed returns a condition for waitFor. The condition is true when all names in ids are
// published with the state s and are confirmed.
func allConfirmed(s State, ids []health.ID) func(map[health.ID]Seen) bool {
	return func(view map[health.ID]Seen) bool {
		for _, id := range ids {
			if got := view[id]; got.State != s || got.Unconfirmed {
				return false
			}
		}
		return true
	}
}
