package demo

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/health"
)

// viewer watches the coordinator with the client library, counts the transitions, and prints them
// calmly: calm.go decides which.
type viewer struct {
	show func(*client.Update) error // prints an update
	hide func([]*client.Entry)      // receives changed entries that are not printed
	say  func(format string, args ...any)
	// published returns the state that the instance publishes in its own server now. It
	// returns false if this state is not known.
	published func(health.ID) (health.State, bool)
	// inStory reports whether a service is part of the story.
	inStory func(service string) bool

	storm   bool // true if the demo has a storm
	started bool // true after the first snapshot; only the goroutine of watch uses it

	// printing is held while lines are printed. It guards shown.
	printing sync.Mutex
	shown    map[health.ID]shownState

	mu      sync.Mutex // never held while lines are printed
	known   map[health.ID]health.Status
	into    map[health.Status]int // number of transitions to each status
	removed int                   // number of instances and services that were removed
	// delays are the times from a transition in an instance until the viewer received the
	// transition: the last maxDelays of them.
	delays   []time.Duration
	measured int      // number of all delays that were measured
	steps    []string // texts of the steps that have run, in order and without repetitions
	waiting  merger
	crowd    crowdCount
}

// maxDelays is the number of delays that the viewer keeps for its summary.
const maxDelays = 20_000

func newViewer(d *demo) *viewer {
	return &viewer{
		storm: d.cfg.Storm, show: d.print, hide: d.hide, say: d.say, published: d.publishedState,
		inStory: func(service string) bool { return service == health.MeshName || findNode(service) != nil },
		shown:   map[health.ID]shownState{}, known: map[health.ID]health.Status{}, into: map[health.Status]int{},
	}
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
		if err := v.take(&u); err != nil {
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
		if was && before != health.Starting {
			v.countFlip(id, status, u.Received)
		}
	}
}

// countFlip counts a transition that is not the start of an instance. The status of a starting
// instance may be much older than its registration, so that no delay can be measured.
func (v *viewer) countFlip(id health.ID, status health.Status, seen time.Time) {
	v.measure(id, status, seen)
	if !v.inStory(id.Service) && !id.Aggregate() {
		v.crowd.changes++
	}
}

// measure records the time from a transition in an instance until the viewer received the
// transition. It records nothing if the status of the instance has changed again.
func (v *viewer) measure(id health.ID, status health.Status, seen time.Time) {
	own, ok := v.published(id)
	if !ok || own.Status != status || own.Since.IsZero() {
		return
	}
	delay := seen.Sub(own.Since)
	if len(v.delays) < maxDelays {
		v.delays = append(v.delays, delay)
	} else {
		v.delays[v.measured%maxDelays] = delay
	}
	v.measured++
	if !v.inStory(id.Service) {
		v.crowd.delays = append(v.crowd.delays, delay)
	}
}

// noteStep adds a step to the summary, unless the summary already has it.
func (v *viewer) noteStep(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Contains(v.steps, what) { // the demo repeats the same steps in each round
		v.steps = append(v.steps, what)
	}
}
