package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// meshOf returns a mesh of n SERVING instances, with a hundred in each service.
func meshOf(n int) (*Mesh, []health.ID) {
	m, ids := New(health.MeshPolicy{}, 7, transcript.T0), make([]health.ID, n)
	var changes []health.Change
	for i := range ids {
		ids[i] = health.ID{Service: fmt.Sprintf("service-%d", i/100), Instance: fmt.Sprint(i)}
		spec := &health.Spec{Lease: 1, TTL: 30 * time.Second}
		changes = m.Apply(changes[:0], transcript.T0, &Event{Kind: EventRegister, ID: ids[i], Lease: 1, Spec: spec})
		changes = m.Apply(changes[:0], transcript.T0, reportOf(ids[i], health.Serving))
	}
	return m, ids
}

func reportOf(id health.ID, s health.Status) *Event {
	checks := []health.CheckState{{Name: "db", Status: s}, {Name: "disk", Status: health.Serving}}
	return &Event{Kind: EventReport, ID: id, Lease: 1, Report: Report{Source: health.SourceMeshhealth, Status: s, Checks: checks}}
}

// TestApplyUnchangedDoesNotAllocate checks that an event that changes nothing allocates no
// memory.
func TestApplyUnchangedDoesNotAllocate(t *testing.T) {
	m, ids := meshOf(200)
	now := transcript.T0
	for _, ev := range []*Event{
		reportOf(ids[7], health.Serving),
		{Kind: EventAlive, ID: ids[7], Lease: 1},
		{Kind: EventRenew, ID: ids[7], Lease: 1},
		{Kind: EventAlive, ID: health.ID{Service: "nobody", Instance: "1"}, Lease: 1},
		reportOf(ids[7], health.Serving),
	} {
		changes := make([]health.Change, 0, 4)
		if n := testing.AllocsPerRun(100, func() {
			now = now.Add(time.Millisecond)
			changes = m.Apply(changes[:0], now, ev)
		}); n != 0 || len(changes) != 0 {
			t.Errorf("event %d: %v allocations, %d changes", ev.Kind, n, len(changes))
		}
	}
}

func BenchmarkApplyUnchanged(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkApply(b, n, func(int) health.Status { return health.Serving })
		})
	}
}

func BenchmarkApplyFlip(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			benchmarkApply(b, n, func(round int) health.Status { return []health.Status{health.NotServing, health.Serving}[round%2] })
		})
	}
}

// benchmarkApply lets the instances report in turn, in several rounds.
func benchmarkApply(b *testing.B, n int, says func(round int) health.Status) {
	m, ids := meshOf(n)
	events := [2][]*Event{}
	for round := range events {
		for _, id := range ids {
			events[round] = append(events[round], reportOf(id, says(round)))
		}
	}
	changes, now, i := make([]health.Change, 0, 8), transcript.T0, 0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(2 * time.Minute / time.Duration(n)) // too slow to be suppressed
		changes = m.Apply(changes[:0], now, events[i/n%2][i%n])
		i++
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkRenew renews the leases of all instances in turn.
func BenchmarkRenew(b *testing.B) {
	m, ids := meshOf(10_000)
	now, i := transcript.T0, 0
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
