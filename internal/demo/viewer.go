package demo

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// viewer watches the mesh as anybody could, shows it and counts.
type viewer struct {
	show func(*client.Update) error
	// flip returns when an instance itself took the status it publishes now.
	flip func(service, instance string) (health.State, bool)

	mu      sync.Mutex
	known   map[health.ID]health.Status
	into    map[health.Status]int // transitions by what they led to
	removed int
	delays  []time.Duration // from a flip to us
	acts    []string
}

func newViewer(show func(*client.Update) error, flip func(service, instance string) (health.State, bool)) *viewer {
	return &viewer{show: show, flip: flip, known: map[health.ID]health.Status{}, into: map[health.Status]int{}}
}

// watch goes on until ctx ends.
func (v *viewer) watch(ctx context.Context, c *client.Client) error {
	for u, err := range c.Watch(ctx, client.WatchOptions{}) {
		if err != nil {
			return err
		}
		v.count(&u)
		if err := v.show(&u); err != nil {
			return err
		}
	}
	return nil
}

func (v *viewer) count(u *client.Update) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, h := range u.Entries {
		v.entry(h, u)
	}
}

func (v *viewer) entry(h *pb.Health, u *client.Update) {
	id := health.ID{Service: h.GetService(), Instance: h.GetInstance()}
	status, _ := health.StatusFromWire(int32(h.GetStatus())) // else Unknown
	before, was := v.known[id]
	v.known[id] = status
	switch {
	case h.GetRemoved():
		delete(v.known, id)
		v.removed++
	case was && before == status:
	case was || !u.Snapshot:
		v.into[status]++
		v.measure(id, status, u.Received)
	}
}

// measure notes how long a flip took from the instance to us. The instance may
// have gone on since; then there is nothing to compare.
func (v *viewer) measure(id health.ID, status health.Status, seen time.Time) {
	own, ok := v.flip(id.Service, id.Instance)
	if ok && own.Status == status && !own.Since.IsZero() {
		v.delays = append(v.delays, seen.Sub(own.Since))
	}
}

// flipOf returns what an instance in this process publishes of itself.
func (d *demo) flipOf(service, name string) (health.State, bool) {
	i := d.find(service, name)
	if i == nil || i.feed.Load() == nil {
		return health.State{}, false
	}
	return own(i.feed.Load(), service)
}

// shown notes an act.
func (v *viewer) shown(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.acts = append(v.acts, what)
}

// summarize says what there was to see.
func (v *viewer) summarize(say func(string, ...any), took time.Duration, instances, services int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	var parts []string
	for _, s := range slices.Sorted(maps.Keys(v.into)) {
		n += v.into[s]
		parts = append(parts, plural(v.into[s], "to "+s.String()))
	}
	say("")
	say("%v, %d instances of %d services", took.Round(100*time.Millisecond), instances, services)
	say("  transitions  %d: %s; %d removed", n, strings.Join(parts, ", "), v.removed)
	if len(v.delays) > 0 {
		slices.Sort(v.delays)
		say("  seen after   %v (median of %d; the slowest %v), from an instance's own flip to a watcher, over two hops",
			brief(v.delays[len(v.delays)/2]), len(v.delays), brief(v.delays[len(v.delays)-1]))
	}
	for n, what := range slices.Compact(slices.Clone(v.acts)) {
		head := "  shown       "
		if n > 0 {
			head = "              "
		}
		say("%s %s", head, what)
	}
}

func brief(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
