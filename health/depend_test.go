package health

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// dumbRoots remembers when each service became what it is, and looks for roots
// by trying every path.
type dumbRoots struct {
	services map[string]ServicePolicy
	window   time.Duration
	ill      map[string]time.Time
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
	for name := range m.services {
		s, _ := m.State(ID{Service: name})
		note(d.ill, name, now, s.Status == Degraded || s.Status == NotServing || s.Status == Unknown)
		note(d.lacking, name, now, s.Status != Serving)
	}
	for _, times := range []map[string]time.Time{d.ill, d.lacking} {
		for name := range times {
			note(times, name, now, m.services[name] != nil)
		}
	}
}

func (d *dumbRoots) root(name string) string {
	ill, is := d.ill[name]
	if !is {
		return ""
	}
	var reasons []string
	for _, on := range d.services[name].DependsOn {
		if at, is := d.lacking[on]; is && !at.After(ill.Add(d.window)) {
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
		return ID{Service: a}.Compare(ID{Service: b})
	})
	if deeper := d.root(reasons[0]); deeper != "" {
		return deeper
	}
	return reasons[0]
}

// compare holds every root, and how many each is to blame for.
func (d *dumbRoots) compare(m *Mesh) error {
	affected := map[string]int{}
	for name, s := range m.services {
		want := d.root(name)
		if s.state.Root != want {
			return fmt.Errorf("the root of %s is %q, want %q", name, s.state.Root, want)
		}
		affected[want]++
	}
	for name, s := range m.services {
		if s.state.Affected != affected[name] {
			return fmt.Errorf("%s affects %d, want %d", name, s.state.Affected, affected[name])
		}
	}
	return nil
}

// someDependencies are without cycles: each depends on later names only.
func someDependencies(random *rand.Rand, names []string) map[string]ServicePolicy {
	services := map[string]ServicePolicy{}
	for i, name := range names {
		var p ServicePolicy
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
		d := &dumbRoots{services: someDependencies(random, names), window: window, ill: map[string]time.Time{}, lacking: map[string]time.Time{}}
		m := NewMesh(MeshPolicy{Services: d.services, RootWindow: window, FlapHalfLife: -1}, 7, t0)
		f := &follower{mesh: m, told: map[ID]State{}}
		now := t0
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
				t.Fatalf("seed %d at %v: %v", seed, now.Sub(t0), err)
			}
		}
	}
}

func someEvent(random *rand.Rand, names []string) *Event {
	ev := &Event{Kind: EventReport, ID: ID{names[random.IntN(len(names))], "1"}, Lease: 1}
	switch random.IntN(6) {
	case 0:
		ev.Kind, ev.Spec = EventRegister, &Spec{Lease: 1, Static: true}
	case 1:
		if random.IntN(4) == 0 {
			ev.Kind = EventDeregister
		}
	}
	ev.Report = Report{Source: SourceMeshhealth, Status: []Status{Serving, Serving, Degraded, NotServing, Unknown, Draining}[random.IntN(6)]}
	return ev
}

func TestCheckDependencies(t *testing.T) {
	on := func(names ...string) ServicePolicy { return ServicePolicy{DependsOn: names} }
	for _, c := range []struct {
		services map[string]ServicePolicy
		want     []string
	}{
		{map[string]ServicePolicy{"a": on("b", "c"), "b": on("c")}, nil},
		{map[string]ServicePolicy{"a": {DependsOn: []string{"b"}, SoftDependsOn: []string{"c"}}, "c": {SoftDependsOn: []string{"a"}}}, nil},
		{map[string]ServicePolicy{"a": on("a")}, []string{"Services[a].DependsOn: goes round in a circle: a -> a"}},
		{map[string]ServicePolicy{"z": on("b"), "b": on("c", "x"), "c": on("d"), "d": on("b")}, []string{"Services[b].DependsOn: goes round in a circle: b -> c -> d -> b"}},
		{map[string]ServicePolicy{"a": on("b", "b")}, []string{"Services[a].DependsOn: b is there twice"}},
		{map[string]ServicePolicy{"a": {DependsOn: []string{"b"}, SoftDependsOn: []string{"b"}}}, []string{"b is there twice"}},
	} {
		complains(t, fmt.Sprint(c.services), MeshPolicy{Services: c.services}.Validate(), c.want)
	}
}

// TestRetuneTellsEachOnce: a long chain is told in as many changes as it has
// services.
func TestRetuneTellsEachOnce(t *testing.T) {
	const n = 2000
	services := map[string]ServicePolicy{}
	m := NewMesh(MeshPolicy{FlapHalfLife: -1}, 7, t0)
	for i := range n {
		name := fmt.Sprintf("s%04d", i)
		if i+1 < n {
			services[name] = ServicePolicy{DependsOn: []string{fmt.Sprintf("s%04d", i+1)}}
		}
		m.Apply(nil, t0, &Event{Kind: EventRegister, ID: ID{name, "1"}, Lease: 1, Spec: &Spec{Lease: 1, Static: true}})
		m.Apply(nil, t0, &Event{Kind: EventReport, ID: ID{name, "1"}, Lease: 1, Report: Report{Source: SourceMeshhealth, Status: NotServing}})
	}
	m.Tick(nil, t0.Add(2*time.Minute))
	changes := m.Retune(nil, t0.Add(2*time.Minute), services)
	last, _ := m.State(ID{Service: "s1999"})
	if len(changes) != n || last.Affected != n-1 {
		t.Errorf("%d changes, want %d; %d affected, want %d", len(changes), n, last.Affected, n-1)
	}
}
