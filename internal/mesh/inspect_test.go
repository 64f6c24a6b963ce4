package mesh

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// oneInstance returns random histories of one instance.
func oneInstance(seed uint64) []wake {
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, 3*(1+r.IntN(40)))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for i := 0; i < len(data); i += 3 {
		data[i] &^= 3 << 2 // decodeWakes reads the instance from these bits
	}
	data[1] = 0
	return decodeWakes(data)
}

// TestProspectsComeTrue: if nothing more is heard, an instance takes the statuses that Inspect has
// announced, at the announced times.
func TestProspectsComeTrue(t *testing.T) {
	checked := map[Trigger]int{}
	for seed := range uint64(3000) {
		p := fuzzPolicy(byte(seed))
		p.GuardMin = -1
		if seed%4 == 0 {
			p.FlapHalfLife = 10 * time.Second
		}
		m := New(p, 7, transcript.T0)
		now := transcript.T0
		for _, w := range oneInstance(seed) {
			now = w.at
			if w.late > 0 {
				m.Forgive(w.late)
			}
			for i := range w.events {
				if w.events[i].Kind == EventPath && seed%3 == 0 {
					w.events[i].Late = time.Second
				}
				m.Apply(nil, now, &w.events[i])
			}
			m.Tick(nil, now)
		}
		id := fuzzIDs[0]
		v, ok := m.Inspect(id, now, nil)
		if !ok {
			continue
		}
		var timed []Prospect
		for _, p := range v.Next {
			if p.Trigger < TriggerMember {
				timed = append(timed, p)
			}
		}
		if got := statusesOf(m, id, now, len(timed)); !reflect.DeepEqual(got, stripped(timed)) {
			t.Fatalf("seed %d at %v: announced\n%+v\ncame\n%+v", seed, transcript.Ago(now), stripped(timed), got)
		}
		for _, p := range timed {
			checked[p.Trigger]++
		}
	}
	for _, trigger := range []Trigger{TriggerRecovered, TriggerSilent, TriggerGiveUp, TriggerLeaseEnd, TriggerRemoval, TriggerQuiet, TriggerOverrideEnd} {
		if checked[trigger] == 0 {
			t.Errorf("no history has trigger %d", trigger)
		}
	}
}

// stripped returns prospects without their triggers, which a change does not have.
func stripped(all []Prospect) []Prospect {
	var out []Prospect
	for _, p := range all {
		out = append(out, Prospect{At: p.At, To: p.To, Cause: p.Cause, Unconfirmed: p.Unconfirmed, Removed: p.Removed})
	}
	return out
}

// statusesOf runs the mesh at its deadlines, and returns the first n changes of an instance.
func statusesOf(m *Mesh, id health.ID, now time.Time, n int) []Prospect {
	s, _ := m.State(id)
	last := Prospect{To: s.Status, Cause: s.Cause, Unconfirmed: s.Unconfirmed}
	var all []Prospect
	for range 200 {
		at, ok := m.Deadline()
		if !ok || len(all) == n {
			break
		}
		if at.Before(now) {
			at = now
		}
		now = at
		m.Tick(nil, at)
		s, ok := m.State(id)
		next := Prospect{To: s.Status, Cause: s.Cause, Unconfirmed: s.Unconfirmed, Removed: !ok}
		if !ok {
			next = Prospect{Removed: true}
		}
		if next != last {
			last = next
			next.At = at
			all = append(all, next)
		}
	}
	return all
}

// TestInspectChangesNothing: the same history gives the same changes with inspections between them.
func TestInspectChangesNothing(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		data := make([]byte, 3*60)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		p := fuzzPolicy(byte(seed))
		p.GuardMin, p.FlapHalfLife = 2, 10*time.Second
		plain, inspected := New(p, 7, transcript.T0), New(p, 7, transcript.T0)
		for _, w := range decodeWakes(data) {
			var a, b []health.Change
			for i := range w.events {
				a = plain.Apply(a, w.at, &w.events[i])
				for _, id := range append(slices.Clone(fuzzIDs), health.ID{Service: "a"}, health.ID{Service: "b"}, health.ID{Service: "*"}, health.ZoneID("*", "z1"), health.ZoneID("b", "z2")) {
					inspected.Inspect(id, w.at, fuzzIDs)
				}
				b = inspected.Apply(b, w.at, &w.events[i])
			}
			if a, b = plain.Tick(a, w.at), inspected.Tick(b, w.at); !reflect.DeepEqual(a, b) {
				t.Fatalf("seed %d: an inspection changed what happens at %s", seed, transcript.Ago(w.at))
			}
		}
	}
}

// TestInspectMembers: the deadlines of the members of a service decide when its status changes.
func TestInspectMembers(t *testing.T) {
	m := New(health.MeshPolicy{FlapHalfLife: -1, GuardMin: -1}, 7, transcript.T0)
	at := transcript.T0
	var ids []health.ID
	for i, name := range []string{"a", "b", "c"} {
		id := health.ID{Service: "pay", Instance: name}
		ids = append(ids, id)
		m.Apply(nil, at, &Event{Kind: EventRegister, ID: id, Lease: 1, Spec: &health.Spec{Lease: 1, Static: true, Address: "10.0.0.1:1"}})
		m.Apply(nil, at, &Event{Kind: EventReport, ID: id, Lease: 1, Proven: true, Report: Report{Source: health.SourceMeshhealth, Status: health.Serving}})
		if i < 2 {
			at = at.Add(time.Second)
			m.Apply(nil, at, &Event{Kind: EventPath, ID: id, Lease: 1})
		}
	}
	v, ok := m.Inspect(health.ID{Service: "pay"}, at, ids)
	if !ok || v.Instance != nil || len(v.Next) < 2 {
		t.Fatalf("%v %+v", ok, v)
	}
	first := v.Next[0]
	if first.Trigger != TriggerMember || first.Member != ids[0] || first.MemberTo != health.NotServing || first.To != health.Degraded {
		t.Errorf("%+v", first)
	}
	for {
		next, ok := m.Deadline()
		if !ok || next.After(first.At) {
			break
		}
		m.Tick(nil, next)
	}
	if s, _ := m.State(health.ID{Service: "pay"}); s.Status != first.To {
		t.Errorf("announced %s, came %s", first.To, s.Status)
	}
	if _, ok := m.Inspect(health.ID{Service: "nobody"}, at, nil); ok {
		t.Error("an unknown name was inspected")
	}
}

// BenchmarkInspect measures an inspection, during which the owner does nothing else.
func BenchmarkInspect(b *testing.B) {
	m := New(health.MeshPolicy{}, 7, transcript.T0)
	var ids []health.ID
	for i := range 10_000 {
		id := health.ID{Service: "pay", Instance: string(rune('a'+i%26)) + transcript.At(time.Duration(i)).String()}
		ids = append(ids, id)
		m.Apply(nil, transcript.T0, &Event{Kind: EventRegister, ID: id, Lease: 1, Spec: &health.Spec{Lease: 1, TTL: time.Minute, Address: "10.0.0.1:1"}})
		m.Apply(nil, transcript.T0, &Event{Kind: EventReport, ID: id, Lease: 1, Proven: true, Report: Report{Source: health.SourceMeshhealth, Status: health.Serving}})
	}
	b.Run("instance", func(b *testing.B) {
		for b.Loop() {
			m.Inspect(ids[0], transcript.T0, nil)
		}
	})
	b.Run("service", func(b *testing.B) {
		for b.Loop() {
			m.Inspect(health.ID{Service: "pay"}, transcript.T0, ids)
		}
	})
}
