package testmesh

import (
	"context"
	"fmt"
	"sync"

	"github.com/meshhealth/meshhealth/client"
)

// watcher records the entries that a client of the coordinator receives.
type watcher struct {
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	now     map[string]*client.Entry   // the last entry of each name that is not removed
	seen    map[string][]*client.Entry // all entries of each name since the last command "forget"
	named   map[string]bool            // names in the snapshot that the watcher is receiving now; nil between snapshots
	gaps    int
	stale   bool          // true if the client receives nothing from the coordinator, so that entries may be out of date
	changed chan struct{} // closed and replaced when an update arrives
}

func watch(c *client.Client) *watcher {
	w := &watcher{
		done: make(chan struct{}), changed: make(chan struct{}),
		now: map[string]*client.Entry{}, seen: map[string][]*client.Entry{},
	}
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	go func() {
		defer close(w.done)
		for u, err := range c.Watch(ctx, client.WatchOptions{}) {
			if err != nil {
				return
			}
			w.update(&u)
		}
	}()
	return w
}

func (w *watcher) close() {
	w.stop()
	<-w.done
}

func (w *watcher) update(u *client.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u.Gap {
		w.gaps++
	}
	w.stale = u.Stale
	if u.Stale || u.Snapshot && w.named == nil {
		w.named = map[string]bool{}
	}
	for _, e := range u.Entries {
		w.entry(e)
	}
	if u.SnapshotEnd {
		w.dropUnnamed()
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watcher) entry(e *client.Entry) {
	name := e.ID.String()
	if name == "" {
		name = "coordinator"
	}
	if w.named != nil {
		w.named[name] = true
	}
	if e.Removed {
		delete(w.now, name)
		return
	}
	w.seen[name] = append(w.seen[name], e)
	w.now[name] = e
}

func (w *watcher) dropUnnamed() {
	for name := range w.now {
		if !w.named[name] {
			delete(w.now, name)
		}
	}
	w.named = nil
}

// current returns the last entry of a name, and a channel that is closed when the next update
// arrives. The entry is nil if the watcher has none, or if the field stale is true.
func (w *watcher) current(name string) (*client.Entry, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stale {
		return nil, w.changed
	}
	return w.now[name], w.changed
}

// everWas reports whether the watcher has received an entry of the name with this status since
// the last command "forget".
func (w *watcher) everWas(name, status string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.seen[name] {
		if e.Status.String() == status {
			return true
		}
	}
	return false
}

func (w *watcher) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.seen)
	w.gaps = 0
}

func (w *watcher) gapCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gaps
}

// describe returns a text about an entry for error messages, in the words of a script.
func describe(e *client.Entry) string {
	if e == nil {
		return "gone"
	}
	text := e.Status.String() + " " + e.Cause.String()
	if e.Unconfirmed {
		text += " unconfirmed"
	}
	if e.Reason != "" {
		text += fmt.Sprintf(" (%s)", e.Reason)
	}
	return text
}
