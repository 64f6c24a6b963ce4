package mesh

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// dumbRoots is a simple model of the roots: it remembers since when each service fails, and
// tries all paths.
type dumbRoots struct {
	services map[string]health.ServicePolicy
	window   time.Duration
	failing  map[string]time.Time
	lacking  map[string]time.Time
}

func note(times map[string]time.Time, name string, now time.Time, holds bool) {
	switch _, noted := times[name]; {
	case !holds:
		delete(times, name)
	case !noted:
		times[name] = now
	}
}

func (d *dumbRoots) look(m *Mesh, now time.Time) {
	for name := range m.aggregates.services {
		s, _ := m.State(health.ID{Service: name})
		note(d.failing, name, now, s.Status == health.Degraded || s.Status == health.NotServing || s.Status == health.Unknown)
		note(d.lacking, name, now, s.Status != health.Serving)
	}
	for _, times := range []map[string]time.Time{d.failing, d.lacking} {
		for name := range times {
			note(times, name, now, m.aggregates.services[name] != nil)
		}
	}
}

func (d *dumbRoots) root(name string) string {
	failing, is := d.failing[name]
	if !is {
		return ""
	}
	var reasons []string
	for _, on := range d.services[name].DependsOn {
		if at, is := d.lacking[on]; is && !at.After(failing.Add(d.window)) {
			reasons = append(reasons, on)
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	slices.SortFunc(reasons, func(a, b string) int {
		if c := d.lacking[a].Compare(d.lacking[b]); c != 0 {
			return c
		}
		return health.ID{Service: a}.Compare(health.ID{Service: b})
	})
	if deeper := d.root(reasons[0]); deeper != "" {
		return deeper
	}
	return reasons[0]
}

// compare checks all roots, and the numbers of affected services.
func (d *dumbRoots) compare(m *Mesh) error {
	affected := map[string]int{}
	for name, s := range m.aggregates.services {
		want := d.root(name)
		if s.state.Root != want {
			return fmt.Errorf("the root of %s is %q, want %q", name, s.state.Root, want)
		}
		affected[want]++
	}
	for name, s := range m.aggregates.services {
		if s.state.Affected != affected[name] {
			return fmt.Errorf("%s affects %d, want %d", name, s.state.Affected, affected[name])
		}
	}
	return nil
}

// someDependencies returns dependencies without cycles: a service depends only on later
// names.
func someDependencies(random *rand.Rand, names []string) map[string]health.ServicePolicy {
	services := map[string]health.ServicePolicy{}
	for i, name := range names {
		var p health.ServicePolicy
		for _, on := range names[i+1:] {
			if random.IntN(3) == 0 {
				p.DependsOn = append(p.DependsOn, on)
			}
		}
		services[name] = p
	}
	return services
}

func TestRootsAgainstOracle(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		names := []string{"a", "b", "c", "d", "e", "f"}
		window := time.Duration(1+random.IntN(4)) * time.Second
		d := &dumbRoots{services: someDependencies(random, names), window: window, failing: map[string]time.Time{}, lacking: map[string]time.Time{}}
		m := New(health.MeshPolicy{Services: d.services, RootWindow: window, FlapHalfLife: -1}, 7, transcript.T0)
		f := &follower{mesh: m, told: map[health.ID]health.State{}}
		now := transcript.T0
		for range 200 {
			now = now.Add(time.Duration(random.IntN(3)) * halfSecond)
			changes := m.Tick(nil, now)
			if random.IntN(30) == 0 {
				d.services = someDependencies(random, names)
				changes = m.Retune(changes, now, d.services)
			}
			changes = m.Apply(changes, now, someEvent(random, names))
			if err := f.take(changes); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			d.look(m, now)
			if err := d.compare(m); err != nil {
				t.Fatalf("seed %d at %v: %v", seed, now.Sub(transcript.T0), err)
			}
		}
	}
}

func someEvent(random *rand.Rand, names []string) *Event {
	ev := &Event{Kind: EventReport, ID: health.ID{Service: names[random.IntN(len(names))], Instance: "1"}, Lease: 1}
	switch random.IntN(6) {
	case 0:
		ev.Kind, ev.Spec = EventRegister, &health.Spec{Lease: 1, Static: true}
	case 1:
		if random.IntN(4) == 0 {
			ev.Kind = EventDeregister
		}
	}
	ev.Report = Report{Source: health.SourceMeshhealth, Status: []health.Status{health.Serving, health.Serving, health.Degraded, health.NotServing, health.Unknown, health.Draining}[random.IntN(6)]}
	return ev
}

// TestRetunePublishesEachOnce checks that new dependencies of a long chain make one change
// per service.
func TestRetunePublishesEachOnce(t *testing.T) {
	const n = 2000
	services := map[string]health.ServicePolicy{}
	m := New(health.MeshPolicy{FlapHalfLife: -1}, 7, transcript.T0)
	for i := range n {
		name := fmt.Sprintf("s%04d", i)
		if i+1 < n {
			services[name] = health.ServicePolicy{DependsOn: []string{fmt.Sprintf("s%04d", i+1)}}
		}
		m.Apply(nil, transcript.T0, &Event{Kind: EventRegister, ID: health.ID{Service: name, Instance: "1"}, Lease: 1, Spec: &health.Spec{Lease: 1, Static: true}})
		m.Apply(nil, transcript.T0, &Event{Kind: EventReport, ID: health.ID{Service: name, Instance: "1"}, Lease: 1, Report: Report{Source: health.SourceMeshhealth, Status: health.NotServing}})
	}
	m.Tick(nil, transcript.T0.Add(2*time.Minute))
	changes := m.Retune(nil, transcript.T0.Add(2*time.Minute), services)
	last, _ := m.State(health.ID{Service: "s1999"})
	if len(changes) != n || last.Affected != n-1 {
		t.Errorf("%d changes, want %d; %d affected, want %d", len(changes), n, last.Affected, n-1)
	}
}
