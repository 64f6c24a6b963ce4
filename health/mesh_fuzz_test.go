package health

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

const halfSecond = time.Second / 2

// wake is what an owner does at one time: forgive, apply, Tick.
type wake struct {
	at     time.Time
	late   time.Duration
	events []Event
}

func fuzzPolicy(b byte) MeshPolicy {
	return MeshPolicy{
		RecoverHold:      []time.Duration{-1, time.Second, 2 * time.Second}[b%3],
		RecoverAfter:     1 + int(b/3%3),
		UnreachableAfter: time.Duration(2+b/9%2) * time.Second,
		StartupGrace:     5 * time.Second,
		DeregisterAfter:  []time.Duration{-1, 4 * time.Second}[b/18%2],
		Amnesty:          []time.Duration{-1, 2 * time.Second}[b/36%2],
		FlapHalfLife:     -1,
		Services: map[string]ServicePolicy{"b": {
			Rule: []Rule{Worst, Any, AtLeast(2), Percent(60), {}}[b%5], MinAvailable: int(b % 100), Optional: b%2 == 0,
		}},
	}.WithDefaults()
}

var fuzzIDs = []ID{{"a", "1"}, {"a", "2"}, {"b", "1"}, {"b", "2"}}

// decodeWakes makes a history of bytes, three an event.
func decodeWakes(data []byte) []wake {
	var wakes []wake
	now, leases := t0, map[ID]uint64{}
	for ; len(data) >= 3; data = data[3:] {
		step := time.Duration(data[0]%4) * halfSecond
		if data[0]%32 == 31 {
			step = time.Duration(data[1]%40) * halfSecond
		}
		now = now.Add(step)
		ev := decodeEvent(now, leases, data[0]/4%4, data[1], data[2])
		if step > 0 || len(wakes) == 0 {
			wakes = append(wakes, wake{at: now})
		}
		last := &wakes[len(wakes)-1]
		if data[1] == 255 {
			last.late = halfSecond * time.Duration(data[2]%8)
			continue
		}
		last.events = append(last.events, ev)
	}
	return wakes
}

func decodeEvent(now time.Time, leases map[ID]uint64, who, kind, arg byte) Event {
	id := fuzzIDs[who]
	ev := Event{ID: id, Lease: leases[id]}
	ev.Kind = []EventKind{
		EventRegister, EventLoad, EventDeregister, EventReport, EventReport, EventReport, EventReport, EventAlive,
		EventRenew, EventRefused, EventRefused, EventPath, EventPath, EventConfig, EventPushed, EventOverride, EventRegister, EventUnasked,
	}[kind%18]
	if arg == 200 {
		ev.Lease += 100 // somebody else's
	}
	if ev.Kind == EventLoad && leases[id] != 0 { // only at the start
		ev.Kind = EventAlive
	}
	switch ev.Kind {
	case EventRegister, EventLoad:
		if kind%18 != 16 || ev.Lease == 0 {
			ev.Lease++
		}
		leases[id] = ev.Lease
		ev.Spec = &Spec{Lease: ev.Lease, Static: id.Instance == "2", TTL: 4 * time.Second, Zone: "z" + id.Instance, RegisteredAt: now}
		if arg%5 == 0 {
			ev.Spec.Judge = &ServicePolicy{Rule: []Rule{{}, Worst, Any, AtLeast(2)}[arg/5%4], MinAvailable: int(arg % 3 * 40), Optional: arg%4 == 0}
		}
		if ev.Spec.Static {
			ev.Spec.TTL = 0
		}
		status := Status(arg) % NumStatuses
		ev.Loaded = &Loaded{Status: status, Cause: causeOf(status), Since: t0.Add(-time.Hour), Trusted: arg/7%2 == 0, Proven: arg/14%2 == 0}
	case EventReport:
		ev.Report = Report{Source: SourceMeshhealth + Source(arg/7%4), Status: Status(arg) % NumStatuses, Cause: Cause(arg/28%2) * CauseTimeout}
		if ev.Report.Source.stock() {
			ev.Report.Status = []Status{Unknown, Serving, Serving, NotServing}[arg%4]
		}
	case EventConfig:
		ev.Cause = []Cause{CauseTLS, CauseUnauthenticated}[arg%2]
	case EventPushed:
		ev.On = arg%2 == 0
	case EventOverride:
		ev.Scope = []Scope{ScopeOf(id), ScopeOf(id), {Service: id.Service}, {Zone: "z" + id.Instance}, {Service: id.Service, Zone: "z1"}}[arg%5]
		if n := arg / 7 % 4; n > 0 {
			ev.Override = &Override{Status: Status(arg) % NumStatuses, SetAt: now}
			if n > 1 {
				ev.Override.ExpiresAt = now.Add(time.Duration(n) * halfSecond)
			}
		}
	}
	return ev
}

// follower holds what it was told, and nothing else.
type follower struct {
	mesh     *Mesh
	revision uint64
	told     map[ID]State
}

func (f *follower) take(changes []Change) error {
	for i := range changes {
		c := &changes[i]
		was, known := f.told[c.ID]
		switch {
		case c.Revision != f.revision+1 || c.Epoch != f.mesh.Epoch():
			return fmt.Errorf("%s: revision %d after %d", c.ID, c.Revision, f.revision)
		case known && c.From != was.Status:
			return fmt.Errorf("%s: from %s, but it was %s", c.ID, c.From, was.Status)
		case known && c.Status == was.Status && !c.Since.Equal(was.Since), known && c.Status != was.Status && !c.Since.Equal(c.At):
			return fmt.Errorf("%s: since %v, %s; was since %v, %s", c.ID, c.Since, c.Status, was.Since, was.Status)
		case !c.FirstFailure.IsZero() && c.Status == Serving || c.FirstFailure.After(c.At):
			return fmt.Errorf("%s: %s at %v, first failure at %v", c.ID, c.Status, c.At, c.FirstFailure)
		}
		f.revision = c.Revision
		if was.Revision = c.Revision; known && was.Override == c.Override && reflect.DeepEqual(was, c.State) {
			return fmt.Errorf("%s: told twice: %+v", c.ID, was)
		}
		f.told[c.ID] = c.State
		if c.Removed {
			delete(f.told, c.ID)
		}
	}
	return f.complete()
}

// complete holds that who was told every change knows every state.
func (f *follower) complete() error {
	states := f.mesh.Snapshot(nil)
	for _, s := range states {
		if told, ok := f.told[s.ID]; s.Revision != 0 && (!ok || !reflect.DeepEqual(told, s)) {
			return fmt.Errorf("%s was told as %+v, is %+v", s.ID, told, s)
		}
	}
	if n := len(f.told); n != len(states) && !(n == 0 && len(states) == 1) {
		return fmt.Errorf("told of %d, there are %d", n, len(states))
	}
	return nil
}

// play runs a history. Between wakes it ticks whenever the mesh asks for it.
func play(m *Mesh, wakes []wake, between func(time.Time, []Change, *wake) error) error {
	for i := range wakes {
		w := &wakes[i]
		for {
			next, ok := m.Deadline()
			if !ok || !next.Before(w.at) {
				break
			}
			if err := between(next, m.Tick(nil, next), nil); err != nil {
				return err
			}
		}
		if w.late > 0 {
			m.Forgive(w.late)
		}
		var changes []Change
		for j := range w.events {
			changes = m.Apply(changes, w.at, &w.events[j])
		}
		if err := between(w.at, m.Tick(changes, w.at), w); err != nil {
			return err
		}
	}
	return nil
}

// checkMesh plays data to a mesh, to the dumb one, and to a follower.
func checkMesh(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	p, wakes := fuzzPolicy(data[0]), decodeWakes(data[1:])
	m := NewMesh(p, 7, t0)
	f := &follower{mesh: m, told: map[ID]State{}}
	dumb, forgave, now := &dumbMesh{policy: p, instances: map[ID]*dumbInstance{}, overrides: map[Scope]*Override{}}, false, t0
	err := play(m, wakes, func(at time.Time, changes []Change, w *wake) error {
		if err := f.take(changes); err != nil {
			return err
		}
		for now = now.Add(halfSecond); now.Before(at); now = now.Add(halfSecond) {
			dumb.pass(now)
		}
		now = at
		if w != nil {
			forgave = forgave || w.late > 0
			for i := range w.events {
				dumb.apply(at, &w.events[i])
				for _, d := range dumb.instances {
					d.verdict()
				}
			}
		}
		dumb.pass(at)
		return compareMeshes(m, dumb, forgave)
	})
	if err != nil {
		return fmt.Errorf("%+v at %v: %w", p, now.Sub(t0), err)
	}
	return sameWhateverTheOrder(m, p, wakes)
}

func compareMeshes(m *Mesh, dumb *dumbMesh, forgave bool) error {
	var by, counted, optional tallies
	names := map[string]bool{}
	for id, in := range m.instances {
		names[id.Service] = true
		d := dumb.instances[id]
		if forgave {
			continue
		}
		s := &in.state
		got := dumbVerdict{s.Status, s.Judged, s.Cause, s.Unconfirmed, s.Unreachable, in.proven}
		if d == nil || got != dumb.verdict(id) {
			return fmt.Errorf("%s is %+v\ndumb: %+v", id, got, d)
		}
	}
	if len(m.instances) != len(dumb.instances) && !forgave {
		return fmt.Errorf("%d instances, %d in the dumb mesh", len(m.instances), len(dumb.instances))
	}
	for name := range names {
		s := m.services[name]
		if status, counts := dumb.service(name, ""); !forgave && (status != s.state.Status || counts != *s.state.Counts) {
			return fmt.Errorf("%s is %s %+v\ndumb: %s %+v", name, s.state.Status, s.state.Counts, status, counts)
		}
		if is := s.policy.Optional; !forgave && is != dumb.policyOf(name).Optional {
			return fmt.Errorf("%s is optional: %v", name, is)
		}
		by[s.state.Status]++
		if m.services[name].policy.Optional {
			optional[s.state.Status]++
		} else if s.state.Counts.Counted > 0 {
			counted[s.state.Status]++
		}
	}
	if len(m.services) != len(names) || m.whole.state.Counts.By != by || m.whole.state.Counts.Counted != total(&counted) {
		return fmt.Errorf("the mesh counts %+v of %d services, want %v %v", m.whole.state.Counts, len(m.services), by, counted)
	}
	if want := wholeOf(by, counted, optional); m.whole.state.Status != want {
		return fmt.Errorf("the mesh is %s, want %s", m.whole.state.Status, want)
	}
	if err := compareZones(m, dumb, forgave); err != nil {
		return err
	}
	return rescan(m)
}

// compareZones does the same zone by zone.
func compareZones(m *Mesh, dumb *dumbMesh, forgave bool) error {
	for _, zone := range []string{"z1", "z2"} {
		var by, counted, optional tallies
		for _, name := range []string{"a", "b"} {
			_, there := m.instances[ID{name, zone[1:]}]
			got, known := m.State(PartID(name, zone))
			if there != known {
				return fmt.Errorf("%s has something in %s: %v, want %v", name, zone, known, there)
			}
			if !there {
				continue
			}
			if status, counts := dumb.service(name, zone); !forgave && (status != got.Status || counts != *got.Counts) {
				return fmt.Errorf("%s in %s is %s %+v\ndumb: %s %+v", name, zone, got.Status, got.Counts, status, counts)
			}
			by[got.Status]++
			if m.services[name].policy.Optional {
				optional[got.Status]++
			} else if got.Counts.Counted > 0 {
				counted[got.Status]++
			}
		}
		whole, known := m.State(ZoneID(zone))
		if known != (total(&by) > 0) || known && (whole.Status != wholeOf(by, counted, optional) || whole.Counts.By != by) {
			return fmt.Errorf("%s is %s %+v (%v), want %s of %v", zone, whole.Status, whole.Counts, known, wholeOf(by, counted, optional), by)
		}
	}
	return nil
}

func wholeOf(by, counted, optional tallies) Status {
	left := by
	for i := range left {
		left[i] -= optional[i]
	}
	switch {
	case total(&by) == 0:
		return Unknown
	case total(&left) == 0:
		return Serving
	case counted[NotServing] > 0:
		return NotServing
	case counted[Degraded]+counted[Unknown] > 0:
		return Degraded
	case counted[Serving] > 0:
		return Serving
	case total(&counted) > 0 || total(&left) > left[Draining]+left[Maintenance]:
		return Starting
	case left[Draining] > 0:
		return Draining
	}
	return Maintenance
}

// rescan holds that the counts are those of the instances, and that the heap's
// first is as early as any deadline.
func rescan(m *Mesh) error {
	by := map[string]*tallies{}
	first := never
	for id, in := range m.instances {
		if by[id.Service] == nil {
			by[id.Service] = &tallies{}
		}
		by[id.Service][in.state.Status]++
		first = min(first, in.nextDue())
		if m.due[in.heapAt] != in {
			return fmt.Errorf("%s is not where it thinks in the heap", id)
		}
	}
	for name, s := range m.services {
		if by[name] == nil || s.state.Counts.By != *by[name] {
			return fmt.Errorf("%s counts %v, there are %v", name, s.state.Counts, by[name])
		}
	}
	if due, ok := m.Deadline(); first != never && (!ok || due.After(m.time(first))) {
		return fmt.Errorf("the deadline is %v, the first is %v", due, m.time(first))
	}
	return nil
}

// sameWhateverTheOrder plays the history again, and with what happened to
// different instances at one time in another order.
func sameWhateverTheOrder(m *Mesh, p MeshPolicy, wakes []wake) error {
	ignore := func(time.Time, []Change, *wake) error { return nil }
	again := NewMesh(p, 7, t0)
	if err := play(again, wakes, ignore); err != nil {
		return err
	}
	for i := range wakes {
		turnAround(wakes[i].events)
	}
	turned := NewMesh(p, 7, t0)
	if err := play(turned, wakes, ignore); err != nil {
		return err
	}
	for _, s := range m.Snapshot(nil) {
		got, _ := turned.State(s.ID)
		got.Revision = s.Revision
		if s.Counts != nil { // its times are those of what happened first
			got.Since, got.FirstFailure = s.Since, s.FirstFailure
		}
		if !reflect.DeepEqual(got, s) {
			return fmt.Errorf("in another order %s is %+v, was %+v", s.ID, got, s)
		}
		if same, _ := again.State(s.ID); same.Status != s.Status || same.Cause != s.Cause || !same.Since.Equal(s.Since) {
			return fmt.Errorf("the second time %s is %+v, was %+v", s.ID, same, s)
		}
	}
	if again.Len() != m.Len() || turned.Len() != m.Len() {
		return fmt.Errorf("%d, %d and %d instances", m.Len(), again.Len(), turned.Len())
	}
	return nil
}

// turnAround reverses the order of what is about different instances. An
// override may be about several, and stays where it is.
func turnAround(events []Event) {
	first := 0
	for i := range events {
		if events[i].Kind == EventOverride {
			turnAround(events[first:i])
			first = i + 1
		}
	}
	slices.SortStableFunc(events[first:], func(a, b Event) int { return -a.ID.Compare(b.ID) })
}

func FuzzMesh(f *testing.F) {
	f.Add([]byte{40, 0, 0, 0, 2, 3, 1, 2, 11, 0, 31, 11, 0, 31, 3, 1, 2, 8, 0})
	f.Add([]byte{19, 4, 0, 0, 6, 3, 14, 6, 9, 0, 6, 9, 0, 6, 3, 15, 31, 30, 9, 2, 15, 9, 2, 2, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 600 {
			return
		}
		if err := checkMesh(data); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMeshAgainstOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 1500 {
		data := make([]byte, 1+random.IntN(240))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		if err := checkMesh(data); err != nil {
			t.Fatalf("%v\n%v", data, err)
		}
	}
}
