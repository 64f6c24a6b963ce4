package mesh

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

const halfSecond = time.Second / 2

// wake is what the owner does at one time: Forgive, Apply and Tick.
type wake struct {
	at     time.Time
	late   time.Duration
	events []Event
}

func fuzzPolicy(b byte) health.MeshPolicy {
	return health.MeshPolicy{
		RecoverHold:      []time.Duration{-1, time.Second, 2 * time.Second}[b%3],
		RecoverAfter:     1 + int(b/3%3),
		UnreachableAfter: time.Duration(2+b/9%2) * time.Second,
		StartupGrace:     5 * time.Second,
		DeregisterAfter:  []time.Duration{-1, 4 * time.Second}[b/18%2],
		Amnesty:          []time.Duration{-1, 2 * time.Second}[b/36%2],
		FlapHalfLife:     -1,
		Services: map[string]health.ServicePolicy{"b": {
			Rule: []health.Rule{health.Worst, health.AtLeast(1), health.AtLeast(2), health.Percent(60), {}}[b%5], MinAvailable: int(b % 100), Optional: b%2 == 0, Critical: b%4 == 1,
		}},
		MeshRule: []health.Rule{{}, health.Available, health.Worst}[b/5%3], MeshMinAvailable: []int{0, 34, 75}[b/15%3],
	}.WithDefaults()
}

var fuzzIDs = []health.ID{{Service: "a", Instance: "1"}, {Service: "a", Instance: "2"}, {Service: "b", Instance: "1"}, {Service: "b", Instance: "2"}}

// decodeWakes makes a history from bytes. Each event has three.
func decodeWakes(data []byte) []wake {
	var wakes []wake
	now, leases := transcript.T0, map[health.ID]uint64{}
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

func decodeEvent(now time.Time, leases map[health.ID]uint64, who, kind, arg byte) Event {
	id := fuzzIDs[who]
	ev := Event{ID: id, Lease: leases[id]}
	ev.Kind = []EventKind{
		EventRegister, EventLoad, EventDeregister, EventReport, EventReport, EventReport, EventReport, EventAlive,
		EventRenew, EventRefused, EventRefused, EventPath, EventPath, EventConfig, EventPushed, EventOverride, EventRegister, EventNotAsked,
		EventFailed, EventMalformed, EventQuota, EventStranger,
	}[kind%22]
	if arg == 200 {
		ev.Lease += 100 // the lease of another process
	}
	if ev.Kind == EventLoad && leases[id] != 0 { // only at the start
		ev.Kind = EventAlive
	}
	if ev.Proven = arg%3 != 0; !ev.Proven {
		ev.Session = uint64(arg / 3 % 3)
	}
	switch ev.Kind {
	case EventRegister, EventLoad:
		if kind%22 != 16 || ev.Lease == 0 {
			ev.Lease++
		}
		leases[id] = ev.Lease
		ev.Spec = &health.Spec{Lease: ev.Lease, Static: id.Instance == "2", TTL: 4 * time.Second, Zone: "z" + id.Instance, RegisteredAt: now, Address: fmt.Sprintf("10.0.0.%d:1", arg%4)}
		if arg%5 == 0 {
			ev.Spec.Judge = &health.ServicePolicy{Rule: []health.Rule{{}, health.Worst, health.AtLeast(1), health.AtLeast(2)}[arg/5%4], MinAvailable: int(arg % 3 * 40), Optional: arg%4 == 0, Critical: arg%4 == 1}
		}
		ev.Spec.Proof = []health.EndpointProof{0, 0, health.ProofMissing, health.ProofPeer}[arg/4%4]
		if ev.Spec.Static {
			ev.Spec.TTL = 0
		}
		status := health.Status(arg) % health.NumStatuses
		unheard := arg%3 == 0 && arg/14%2 == 1 && !status.Routable()
		ev.Loaded = &Loaded{Unheard: unheard, Status: status, Cause: status.Cause(), Since: transcript.T0.Add(-time.Hour), Trusted: arg/7%2 == 0, Proven: arg/14%2 == 0}
	case EventReport:
		ev.Report = Report{Source: health.SourceMeshhealth + health.Source(arg/7%4), Status: health.Status(arg) % health.NumStatuses, Cause: health.Cause(arg/28%2) * health.CauseTimeout}
		if isStock(ev.Report.Source) {
			ev.Report.Status = []health.Status{health.Unknown, health.Serving, health.Serving, health.NotServing}[arg%4]
		}
	case EventConfig, EventMalformed:
		ev.Cause = []health.Cause{health.CauseTLS, health.CauseUnauthenticated}[arg%2]
	case EventPushed:
		ev.On, ev.Peer = arg%2 == 0, netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", arg/2%4))
	case EventOverride:
		ev.Scope = []health.Scope{health.ScopeOf(id), health.ScopeOf(id), {Service: id.Service}, {Zone: "z" + id.Instance}, {Service: id.Service, Zone: "z1"}}[arg%5]
		if n := arg / 7 % 4; n > 0 {
			ev.Override = &health.Override{Status: health.Status(arg) % health.NumStatuses, SetAt: now}
			if n > 1 {
				ev.Override.ExpiresAt = now.Add(time.Duration(n) * halfSecond)
			}
		}
	}
	return ev
}

// follower knows only the changes that it has received.
type follower struct {
	mesh     *Mesh
	revision uint64
	told     map[health.ID]health.State
}

func (f *follower) take(changes []health.Change) error {
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
		case !c.FirstFailure.IsZero() && c.Status == health.Serving || c.FirstFailure.After(c.At):
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

// complete checks that the changes so far give all states.
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

// play plays a history. Between the wakes it calls Tick at each Deadline.
func play(m *Mesh, wakes []wake, between func(time.Time, []health.Change, *wake) error) error {
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
		var changes []health.Change
		for j := range w.events {
			changes = m.Apply(changes, w.at, &w.events[j])
		}
		if err := between(w.at, m.Tick(changes, w.at), w); err != nil {
			return err
		}
	}
	return nil
}

// checkMesh plays data to a mesh, to a dumbMesh and to a follower, and compares them.
func checkMesh(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	p, wakes := fuzzPolicy(data[0]), decodeWakes(data[1:])
	m := New(p, 7, transcript.T0)
	f := &follower{mesh: m, told: map[health.ID]health.State{}}
	dumb, forgave, now := &dumbMesh{policy: p, instances: map[health.ID]*dumbInstance{}, overrides: map[health.Scope]*health.Override{}, goneAt: map[health.Scope]time.Time{}}, false, transcript.T0
	err := play(m, wakes, func(at time.Time, changes []health.Change, w *wake) error {
		before := maps.Clone(f.told)
		if err := f.take(changes); err != nil {
			return err
		}
		if err := checkRoutes(m, before, changes); err != nil {
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
		// Lateness delays the end, which the dumbMesh does not know.
		dumb.amnesty = at.Before(transcript.T0.Add(p.Amnesty)) || forgave && m.aggregates.amnesty.armed()
		return compareMeshes(m, dumb, forgave)
	})
	if err != nil {
		return fmt.Errorf("%+v at %v: %w", p, now.Sub(transcript.T0), err)
	}
	return sameWhateverTheOrder(m, p, wakes)
}

func compareMeshes(m *Mesh, dumb *dumbMesh, forgave bool) error {
	var services []dumbService
	names := map[string]bool{}
	for id, in := range m.instances {
		names[id.Service] = true
		d := dumb.instances[id]
		if forgave {
			continue
		}
		s := &in.state
		got := dumbVerdict{s.Status, s.Judged, s.Cause, s.Unconfirmed, s.Unreachable, in.proven, s.Stranger}
		if d == nil || got != dumb.verdict(id) {
			return fmt.Errorf("%s is %+v\ndumb: %+v", id, got, d)
		}
	}
	if len(m.instances) != len(dumb.instances) && !forgave {
		return fmt.Errorf("%d instances, %d in the dumb mesh", len(m.instances), len(dumb.instances))
	}
	for name := range names {
		s := m.aggregates.services[name]
		if status, counts := dumb.service(name, ""); !forgave && (status != s.state.Status || counts != *s.state.Counts) {
			return fmt.Errorf("%s is %s %+v\ndumb: %s %+v", name, s.state.Status, s.state.Counts, status, counts)
		}
		services = append(services, dumbService{&s.state})
	}
	if len(m.aggregates.services) != len(names) {
		return fmt.Errorf("%d services, want %d", len(m.aggregates.services), len(names))
	}
	if err := dumb.compareZone(&m.aggregates.mesh.state, services); err != nil {
		return err
	}
	if err := compareZones(m, dumb, forgave); err != nil {
		return err
	}
	return rescan(m)
}

// compareZones compares the zones.
func compareZones(m *Mesh, dumb *dumbMesh, forgave bool) error {
	for _, zone := range []string{"z1", "z2"} {
		var services []dumbService
		for _, name := range []string{"a", "b"} {
			_, there := m.instances[health.ID{Service: name, Instance: zone[1:]}]
			got, known := m.State(health.ZoneID(name, zone))
			if there != known {
				return fmt.Errorf("%s has something in %s: %v, want %v", name, zone, known, there)
			}
			if !there {
				continue
			}
			if status, counts := dumb.service(name, zone); !forgave && (status != got.Status || counts != *got.Counts) {
				return fmt.Errorf("%s in %s is %s %+v\ndumb: %s %+v", name, zone, got.Status, got.Counts, status, counts)
			}
			services = append(services, dumbService{&got})
		}
		state, known := m.State(health.ZoneID(health.MeshName, zone))
		if known != (len(services) > 0) {
			return fmt.Errorf("%s is known: %v, want %v", zone, known, len(services) > 0)
		}
		if !known {
			continue
		}
		if err := dumb.compareZone(&state, services); err != nil {
			return err
		}
	}
	return nil
}

// rescan checks that the counts are those of the instances, and that Deadline is not later
// than the first deadline.
func rescan(m *Mesh) error {
	by := map[string]*statusCounts{}
	first := lastMoment
	for id, in := range m.instances {
		if by[id.Service] == nil {
			by[id.Service] = &statusCounts{}
		}
		by[id.Service][in.state.Status]++
		first = min(first, in.nextDeadline())
		if m.schedule[in.heapAt] != in {
			return fmt.Errorf("%s is not where it thinks in the heap", id)
		}
	}
	for name, s := range m.aggregates.services {
		if by[name] == nil || s.state.Counts.By != *by[name] {
			return fmt.Errorf("%s counts %v, there are %v", name, s.state.Counts, by[name])
		}
	}
	if due, ok := m.Deadline(); first != lastMoment && (!ok || due.After(m.timeOf(first))) {
		return fmt.Errorf("the deadline is %v, the first is %v", due, m.timeOf(first))
	}
	return nil
}

// sameWhateverTheOrder plays the history again, and also with the simultaneous events of
// different instances in another order.
func sameWhateverTheOrder(m *Mesh, p health.MeshPolicy, wakes []wake) error {
	ignore := func(time.Time, []health.Change, *wake) error { return nil }
	again := New(p, 7, transcript.T0)
	if err := play(again, wakes, ignore); err != nil {
		return err
	}
	for i := range wakes {
		turnAround(wakes[i].events)
	}
	turned := New(p, 7, transcript.T0)
	if err := play(turned, wakes, ignore); err != nil {
		return err
	}
	for _, s := range m.Snapshot(nil) {
		got, _ := turned.State(s.ID)
		got.Revision = s.Revision
		got.Route, got.RouteKept = s.Route, s.RouteKept // they depend on who was silent or proven first
		if s.Counts != nil {                            // its times depend on the order
			got.Since, got.FirstFailure = s.Since, s.FirstFailure
		}
		if !reflect.DeepEqual(got, s) {
			return fmt.Errorf("in another order %s is %+v, was %+v", s.ID, got, s)
		}
		if same, _ := again.State(s.ID); same.Status != s.Status || same.Route != s.Route || same.Cause != s.Cause || !same.Since.Equal(s.Since) {
			return fmt.Errorf("the second time %s is %+v, was %+v", s.ID, same, s)
		}
	}
	if again.Len() != m.Len() || turned.Len() != m.Len() {
		return fmt.Errorf("%d, %d and %d instances", m.Len(), again.Len(), turned.Len())
	}
	return nil
}

// turnAround reverses the order of events of different instances. An override may change
// several instances, and stays at its place.
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
	transcript.Fuzz(f, 600, checkMesh)
}

func TestMeshAgainstOracle(t *testing.T) {
	transcript.Inputs(t, 5, 1500, 1, 241, checkMesh)
}
