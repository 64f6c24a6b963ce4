package testmesh

import (
	"context"
	"fmt"
	"sync"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// watcher keeps what a client of the coordinator sees, and all it has seen.
type watcher struct {
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	now     map[string]*pb.Health
	seen    map[string][]*pb.Health
	named   map[string]bool // by the snapshot that is coming in
	gaps    int
	stale   bool // what is known may be wrong
	changed chan struct{}
}

func watch(c *client.Client) *watcher {
	w := &watcher{
		done: make(chan struct{}), changed: make(chan struct{}),
		now: map[string]*pb.Health{}, seen: map[string][]*pb.Health{},
	}
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	go func() {
		defer close(w.done)
		for u, err := range c.Watch(ctx, client.WatchOptions{}) {
			if err != nil {
				return
			}
			w.take(&u)
		}
	}()
	return w
}

func (w *watcher) close() {
	w.stop()
	<-w.done
}

func (w *watcher) take(u *client.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if u.Gap {
		w.gaps++
	}
	w.stale = u.Stale
	if u.Stale || u.Snapshot && w.named == nil {
		w.named = map[string]bool{}
	}
	for _, h := range u.Entries {
		w.entry(h)
	}
	if u.SnapshotEnd {
		w.dropUnnamed()
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watcher) entry(h *pb.Health) {
	name := health.ID{Service: h.GetService(), Instance: h.GetInstance()}.String()
	if name == "" {
		name = "coordinator"
	}
	if w.named != nil {
		w.named[name] = true
	}
	if h.GetRemoved() {
		delete(w.now, name)
		return
	}
	w.seen[name] = append(w.seen[name], h)
	w.now[name] = h
}

func (w *watcher) dropUnnamed() {
	for name := range w.now {
		if !w.named[name] {
			delete(w.now, name)
		}
	}
	w.named = nil
}

// current returns what is known for certain of a name, nil if nothing, and a
// channel that is closed when anything changes.
func (w *watcher) current(name string) (*pb.Health, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stale {
		return nil, w.changed
	}
	return w.now[name], w.changed
}

// everWas reports whether a name was ever seen with a status, since the last
// forget.
func (w *watcher) everWas(name, status string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.seen[name] {
		if statusName(h) == status {
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

func statusName(h *pb.Health) string {
	s, _ := health.StatusFromWire(int32(h.GetStatus()))
	return s.String()
}

// describe is how a script writes what is known of a name.
func describe(h *pb.Health) string {
	if h == nil {
		return "gone"
	}
	text := statusName(h) + " " + health.CauseFromWire(int32(h.GetCause())).String()
	if h.GetUnconfirmed() {
		text += " unconfirmed"
	}
	if h.GetReason() != "" {
		text += fmt.Sprintf(" (%s)", h.GetReason())
	}
	return text
}
