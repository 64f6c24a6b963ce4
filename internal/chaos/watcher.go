package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// watcher writes down all a coordinator publishes.
type watcher struct {
	mu   sync.Mutex
	seen []Seen
	view map[health.ID]Seen
	// named are the names of a snapshot so far, nil between snapshots.
	named map[health.ID]bool
}

// watch follows everything until the rig closes.
func (r *rig) watch() (*watcher, error) {
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
				w.take(&u)
			}
		}
	})
	r.later(func() { stop(); wg.Wait(); _ = c.Close() })
	return w, nil
}

func (w *watcher) take(u *client.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case u.Stale:
		w.named = nil
	case u.Snapshot && w.named == nil:
		w.named = map[health.ID]bool{}
	}
	for _, h := range u.Entries {
		w.entry(seenOf(h, u))
	}
	if u.SnapshotEnd {
		w.gone(u.Received)
		w.named = nil
	}
}

func seenOf(h *pb.Health, u *client.Update) Seen {
	status, _ := health.StatusFromWire(int32(h.GetStatus())) // else Unknown
	s := Seen{
		At: u.Received, ID: health.ID{Service: h.GetService(), Instance: h.GetInstance()}, State: State(status.String()),
		Cause: health.Cause(h.GetCause()).String(), Unconfirmed: h.GetUnconfirmed(), Epoch: u.Epoch, Revision: h.GetRevision(),
	}
	if h.GetRemoved() {
		s.State = Gone
	}
	return s
}

func (w *watcher) entry(s Seen) {
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

// gone notes what a snapshot has not named.
func (w *watcher) gone(at time.Time) {
	for id := range maps.Clone(w.view) {
		if !w.named[id] {
			delete(w.view, id)
			w.seen = append(w.seen, Seen{At: at, ID: id, State: Gone, Cause: "not in a snapshot"})
		}
	}
}

// read returns all that was seen, and what it came to.
func (w *watcher) read() ([]Seen, map[health.ID]Seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen), maps.Clone(w.view)
}

// patience is how long anything may take to be seen before a scenario fails.
const patience = 60 * time.Second

// errNever: what was waited for did not come.
type errNever struct{ what string }

func (e *errNever) Error() string { return fmt.Sprintf("%s: not within %v", e.what, patience) }

// until waits for something to be seen.
func (w *watcher) until(ctx context.Context, what string, ok func(view map[health.ID]Seen) bool) error {
	for late := time.Now().Add(patience); ; {
		w.mu.Lock()
		there := ok(w.view)
		w.mu.Unlock()
		switch {
		case there:
			return nil
		case time.Now().After(late):
			return &errNever{what}
		case !sleep(ctx, 50*time.Millisecond):
			return ctx.Err()
		}
	}
}

// confirmed is for until: all of these are sure to be in a state.
func confirmed(s State, ids []health.ID) func(map[health.ID]Seen) bool {
	return func(view map[health.ID]Seen) bool {
		for _, id := range ids {
			if got := view[id]; got.State != s || got.Unconfirmed {
				return false
			}
		}
		return true
	}
}
