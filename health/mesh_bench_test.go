package health

import (
	"fmt"
	"testing"
	"time"
)

// meshOf returns a mesh of n instances, a hundred a service, all Serving.
func meshOf(n int) (*Mesh, []ID) {
	m, ids := NewMesh(MeshPolicy{}, 7, t0), make([]ID, n)
	var changes []Change
	for i := range ids {
		ids[i] = ID{fmt.Sprintf("service-%d", i/100), fmt.Sprint(i)}
		spec := &Spec{Lease: 1, TTL: 30 * time.Second}
		changes = m.Apply(changes[:0], t0, &Event{Kind: EventRegister, ID: ids[i], Lease: 1, Spec: spec})
		changes = m.Apply(changes[:0], t0, reportOf(ids[i], Serving))
	}
	return m, ids
}

func reportOf(id ID, s Status) *Event {
	checks := []CheckState{{Name: "db", Status: s}, {Name: "disk", Status: Serving}}
	return &Event{Kind: EventReport, ID: id, Lease: 1, Report: Report{Source: SourceMeshhealth, Status: s, Checks: checks}}
}

// An event that changes nothing costs a look-up and no memory.
func TestApplyUnchangedDoesNotAllocate(t *testing.T) {
	m, ids := meshOf(200)
	now := t0
	for _, ev := range []*Event{
		reportOf(ids[7], Serving),
		{Kind: EventAlive, ID: ids[7], Lease: 1},
		{Kind: EventRenew, ID: ids[7], Lease: 1},
		{Kind: EventAlive, ID: ID{"nobody", "1"}, Lease: 1},
		reportOf(ids[7], Serving),
	} {
		changes := make([]Change, 0, 4)
		if n := testing.AllocsPerRun(100, func() {
			now = now.Add(time.Millisecond)
			changes = m.Apply(changes[:0], now, ev)
		}); n != 0 || len(changes) != 0 {
			t.Errorf("event %d: %v allocations, %d changes", ev.Kind, n, len(changes))
		}
	}
}

// TestMachineAllocatesForTroubleOnly once per reason, and nothing else.
func TestMachineAllocatesForTroubleOnly(t *testing.T) {
	m, now := NewMachine(withDefaults(Policy{}), t0), t0
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Second)
		for range 10 {
			m.Observe(Observation{At: now, Evidence: Fail, Next: now.Add(time.Minute), Reason: "down"})
		}
		m.Observe(Observation{At: now, Evidence: Pass, Next: now.Add(time.Minute)})
		m.Observe(Observation{At: now, Evidence: Pass, Next: now.Add(time.Minute)})
		m.Tick(now)
	}); n != 1 {
		t.Errorf("%v allocations, want the one for the trouble", n)
	}
}

func BenchmarkMachineObserve(b *testing.B) {
	m, now := NewMachine(withDefaults(Policy{}), t0), t0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		m.Observe(Observation{At: now, Evidence: Pass, Next: now.Add(time.Minute)})
		m.Tick(now)
	}
}

func BenchmarkApplyUnchanged(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkApply(b, n, func(int) Status { return Serving })
		})
	}
}

func BenchmarkApplyFlip(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkApply(b, n, func(round int) Status { return []Status{NotServing, Serving}[round%2] })
		})
	}
}

// benchmarkApply lets one instance after the other report, round after round.
func benchmarkApply(b *testing.B, n int, says func(round int) Status) {
	m, ids := meshOf(n)
	events := [2][]*Event{}
	for round := range events {
		for _, id := range ids {
			events[round] = append(events[round], reportOf(id, says(round)))
		}
	}
	changes, now, i := make([]Change, 0, 8), t0, 0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(2 * time.Minute / time.Duration(n)) // too slow to be damped
		changes = m.Apply(changes[:0], now, events[i/n%2][i%n])
		i++
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "events/s")
}

// Everything renews its lease all the time: the heap must not be the price.
func BenchmarkRenew(b *testing.B) {
	m, ids := meshOf(10_000)
	now, i := t0, 0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		m.Apply(nil, now, &Event{Kind: EventRenew, ID: ids[i%len(ids)], Lease: 1})
		m.Tick(nil, now)
		i++
	}
}

func BenchmarkForgive(b *testing.B) {
	m, _ := meshOf(10_000)
	for b.Loop() {
		m.Forgive(time.Nanosecond)
	}
}
