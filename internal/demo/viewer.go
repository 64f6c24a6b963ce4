package demo

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// viewer watches the mesh as any client can, prints the updates and counts the
// transitions.
type viewer struct {
	show func(*client.Update) error
	// published returns the state that an instance publishes now.
	published func(service, instance string) (health.State, bool)

	mu      sync.Mutex
	known   map[health.ID]health.Status
	into    map[health.Status]int // number of transitions by new status
	removed int                   // number of removed entries
	delays  []time.Duration       // times from a transition to its update
	steps   []string              // texts of the steps, in order, each once
}

func newViewer(show func(*client.Update) error, published func(service, instance string) (health.State, bool)) *viewer {
	return &viewer{show: show, published: published, known: map[health.ID]health.Status{}, into: map[health.Status]int{}}
}

// watch prints and counts updates until ctx ends.
func (v *viewer) watch(ctx context.Context, c *client.Client) error {
	for u, err := range c.Watch(ctx, client.WatchOptions{}) {
		if err != nil {
			return err
		}
		if u.Stale && ctx.Err() != nil {
			continue // the demo ends, and its coordinator has ended before
		}
		v.countUpdate(&u)
		if err := v.show(&u); err != nil {
			return err
		}
	}
	return nil
}

func (v *viewer) countUpdate(u *client.Update) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range u.Entries {
		v.countEntry(e, u)
	}
}

func (v *viewer) countEntry(e *client.Entry, u *client.Update) {
	id, status := e.ID, e.Status
	before, was := v.known[id]
	v.known[id] = status
	switch {
	case e.Removed:
		delete(v.known, id)
		v.removed++
	case was && before == status:
	case was || !u.Snapshot:
		v.into[status]++
		v.measure(id, status, u.Received)
	}
}

// measure records the time from a transition at the instance until the viewer received it.
// It records nothing if the instance has changed again since the transition.
func (v *viewer) measure(id health.ID, status health.Status, seen time.Time) {
	own, ok := v.published(id.Service, id.Instance)
	if ok && own.Status == status && !own.Since.IsZero() {
		v.delays = append(v.delays, seen.Sub(own.Since))
	}
}

// publishedState returns the state that an instance in this process publishes.
func (d *demo) publishedState(service, name string) (health.State, bool) {
	i := d.findInstance(service, name)
	if i == nil || i.feed.Load() == nil {
		return health.State{}, false
	}
	return stateOf(i.feed.Load(), service)
}

// noteStep adds a step to the summary.
func (v *viewer) noteStep(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Contains(v.steps, what) { // the steps repeat
		v.steps = append(v.steps, what)
	}
}
