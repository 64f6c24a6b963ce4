package demo

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// viewer watches the coordinator with the client library, prints the updates and counts the
// transitions.
type viewer struct {
	show func(*client.Update) error
	// published returns the state that the instance publishes in its own server now. It
	// returns false if this state is not known.
	published func(service, instance string) (health.State, bool)

	mu      sync.Mutex
	known   map[health.ID]health.Status
	into    map[health.Status]int // number of transitions to each status
	removed int                   // number of instances and services that were removed
	delays  []time.Duration       // times from a transition in an instance until the viewer received the transition
	steps   []string              // texts of the steps that have run, in order and without repetitions
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
			continue // the demo is ending, and the coordinator has ended already
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

// measure records the time from a transition in an instance until the viewer received the
// transition. It records nothing if the status of the instance has changed again.
func (v *viewer) measure(id health.ID, status health.Status, seen time.Time) {
	own, ok := v.published(id.Service, id.Instance)
	if ok && own.Status == status && !own.Since.IsZero() {
		v.delays = append(v.delays, seen.Sub(own.Since))
	}
}

// publishedState returns the state that an instance publishes in its own server. It returns false
// for an instance in a child process.
func (d *demo) publishedState(service, name string) (health.State, bool) {
	i := d.findInstance(service, name)
	if i == nil || i.feed.Load() == nil {
		return health.State{}, false
	}
	return stateOf(i.feed.Load(), service)
}

// noteStep adds a step to the summary, unless the summary already has it.
func (v *viewer) noteStep(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Contains(v.steps, what) { // the demo repeats the same steps in each round
		v.steps = append(v.steps, what)
	}
}
