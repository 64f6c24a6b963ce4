package metrics

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

const epoch = 7

// rig is a real mesh and its feed, with metrics that follow it.
type rig struct {
	t        *testing.T
	mesh     *mesh.Mesh
	feed     *feed.Feed
	registry *prometheus.Registry
	metrics  *Metrics
}

// newRig starts nothing.
func newRig(t *testing.T) *rig {
	return &rig{
		t:    t,
		mesh: mesh.New(health.MeshPolicy{}, epoch, time.Now()),
		feed: feed.New(epoch, 0), registry: prometheus.NewPedanticRegistry(),
	}
}

// run makes and registers the metrics.
func (r *rig) run(cfg Config) {
	r.t.Helper()
	cfg.Feed = r.feed
	var err error
	if r.metrics, err = New(cfg); err != nil {
		r.t.Fatal(err)
	}
	r.registry.MustRegister(r.metrics)
}

// apply makes one batch of events, as the registry's owner does.
func (r *rig) apply(events ...mesh.Event) {
	var changes []health.Change
	for i := range events {
		changes = r.mesh.Apply(changes, time.Now(), &events[i])
	}
	r.publish(r.mesh.Tick(changes, time.Now()))
}

func (r *rig) publish(changes []health.Change) {
	r.feed.Publish(changes)
	r.metrics.Count(changes)
}

// after lets time pass, and what it decides be published.
func (r *rig) after(d time.Duration) {
	<-time.After(d) // on a bubble's clock: nobody waits
	r.apply()
}

// is compares the samples of some metrics with what is wanted, one per line.
func (r *rig) is(want string, names ...string) {
	r.t.Helper()
	for _, name := range names {
		if !slices.Contains(exported(r.t), name) {
			r.t.Errorf("there is no metric %s", name) // or its absence would be no news
		}
	}
	text, err := testutil.GatherAndFormat(r.registry, expfmt.TypeTextPlain, names...)
	if err != nil {
		r.t.Fatal(err)
	}
	if got, want := samples(string(text)), samples(want); got != want {
		r.t.Errorf("%v:\n%s\nwant:\n%s", names, got, want)
	}
}

func (r *rig) lints() {
	r.t.Helper()
	problems, err := testutil.GatherAndLint(r.registry)
	if err != nil || len(problems) > 0 {
		r.t.Errorf("lint: %v, %v", problems, err)
	}
}

// exported returns the names of all metrics there are.
func exported(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); words[1] == "TYPE" {
			names = append(names, words[2])
		}
	}
	return names
}

// sampleCount returns how many observations all series of a histogram have.
func sampleCount(t *testing.T, g prometheus.Gatherer, name string) (n uint64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			n += m.GetHistogram().GetSampleCount()
		}
	}
	return n
}

// samples returns the lines that are no comments, in order.
func samples(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	slices.Sort(kept)
	return strings.Join(kept, "\n")
}

// states is the samples of one *_state or *_instances metric: 0 but for those
// given.
func states(name, labels string, counts map[health.Status]int) string {
	var b strings.Builder
	for _, s := range health.Statuses() {
		all := strings.Trim(fmt.Sprintf("%s,state=%q", labels, s), ",")
		fmt.Fprintf(&b, "%s{%s} %d\n", name, all, counts[s])
	}
	return b.String()
}

func id(name string) health.ID { return health.ParseID(name) }

func register(name string) mesh.Event {
	spec := &health.Spec{Lease: 1, TTL: 30 * time.Second}
	return mesh.Event{Kind: mesh.EventRegister, ID: id(name), Lease: 1, Spec: spec}
}

// in puts an instance into a zone.
func in(zone string, ev mesh.Event) mesh.Event {
	ev.Spec.Zone = zone
	return ev
}

func report(name string, s health.Status, c health.Cause) mesh.Event {
	return mesh.Event{
		Kind: mesh.EventReport, ID: id(name), Lease: 1,
		Report: mesh.Report{Source: health.SourceMeshhealth, Status: s, Cause: c},
	}
}

func deregister(name string) mesh.Event {
	return mesh.Event{Kind: mesh.EventDeregister, ID: id(name), Lease: 1}
}
