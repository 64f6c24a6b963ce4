package core

import (
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/late"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// TestLateness: a Step is late if it comes more than late.Slack after it was due.
func TestLateness(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		next, woke, want time.Duration // from now; next 0: no deadline
	}{
		{0, MaxSleep, 0},
		{0, MaxSleep + late.Slack, 0},
		{0, MaxSleep + late.Slack + 1, late.Slack + 1},
		{100 * time.Millisecond, 600 * time.Millisecond, 0},
		{100 * time.Millisecond, 10 * time.Second, 9900 * time.Millisecond},
		{time.Hour, 10 * time.Second, 9 * time.Second},
		{-time.Hour, time.Second, time.Second}, // it was due long ago
	} {
		var l lateness
		var next time.Time
		if c.next != 0 {
			next = now.Add(c.next)
		}
		l.armUntil(now, next)
		if got := l.noteWake(now.Add(c.woke)); got != c.want {
			t.Errorf("due in %v, awake after %v: late by %v, want %v", c.next, c.woke, got, c.want)
		}
	}
}

// TestLatePart: how much of a wait without an answer was lateness.
func TestLatePart(t *testing.T) {
	now := time.Now()
	var l lateness
	l.armUntil(now, time.Time{})
	l.noteWake(now.Add(10 * time.Second)) // a second asleep, nine late
	l.armUntil(now.Add(15*time.Second), time.Time{})
	l.noteWake(now.Add(18 * time.Second))
	for since, want := range map[time.Duration]time.Duration{0: 11 * time.Second, 9 * time.Second: 3 * time.Second, time.Minute: 0} {
		if got := l.Part(now.Add(since)); got != want {
			t.Errorf("of a wait from %v on %v, want %v", since, got, want)
		}
	}
}

// TestPauseIsForgiven: a core had no Step for 100 s. It lets no lease expire, applies the
// evidence that has arrived meanwhile, and reports its lateness.
func TestPauseIsForgiven(t *testing.T) {
	now := time.Now()
	c := New(Config{MaxInstances: 10, QueueBytes: 1 << 20, StoreTrust: time.Minute}, now)
	ids := []health.ID{health.ParseID("pay/a"), health.ParseID("pay/b")}
	said := map[health.ID]health.State{}
	step := func(events ...Input) Output {
		out := c.Step(now, events)
		for i := range out.Changes {
			said[out.Changes[i].ID] = out.Changes[i].State
		}
		return out
	}
	for _, id := range ids {
		step(Input{Event: mesh.Event{Kind: mesh.EventRegister, ID: id, Lease: 1, Spec: &health.Spec{Lease: 1, TTL: 30 * time.Second}}},
			Input{Event: report(id, health.Serving)})
	}
	began := now
	now = now.Add(100 * time.Second)
	// One follower got no answer, the other got a report.
	out := step(Input{Event: mesh.Event{Kind: mesh.EventPath, ID: ids[0], Lease: 1}, Since: began},
		Input{Event: report(ids[1], health.NotServing)})
	for i, want := range []health.Status{health.Serving, health.NotServing} {
		if s := said[ids[i]]; s.Status != want || s.Unconfirmed {
			t.Errorf("%v is %v, unconfirmed %v; want %v", ids[i], s.Status, s.Unconfirmed, want)
		}
	}
	if want := 100*time.Second - MaxSleep; out.Late != want {
		t.Errorf("late by %v, want %v", out.Late, want)
	}
}

func report(id health.ID, s health.Status) mesh.Event {
	return mesh.Event{Kind: mesh.EventReport, ID: id, Lease: 1, Report: mesh.Report{Source: health.SourceMeshhealth, Status: s}}
}
