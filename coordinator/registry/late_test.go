package registry

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// TestLateness: when the owner is late, and by how much.
func TestLateness(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		next, woke, want time.Duration // from now; next 0: no deadline
	}{
		{0, maxSleep, 0},
		{0, maxSleep + LateSlack, 0},
		{0, maxSleep + LateSlack + 1, LateSlack + 1},
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
		l.arm(now, next)
		if got := l.woke(now.Add(c.woke)); got != c.want {
			t.Errorf("due in %v, awake after %v: late by %v, want %v", c.next, c.woke, got, c.want)
		}
	}
}

// TestWaitsInVain: what ended without an answer while we were late proves
// nothing.
func TestWaitsInVain(t *testing.T) {
	now := time.Now()
	var l lateness
	if l.overlapped(now) || l.overlapped(time.Time{}) {
		t.Error("overlapped, and never late")
	}
	l.arm(now, time.Time{})
	l.woke(now.Add(10 * time.Second))
	for since, want := range map[time.Duration]bool{0: true, 9 * time.Second: true, 10 * time.Second: false, time.Minute: false} {
		if got := l.overlapped(now.Add(since)); got != want {
			t.Errorf("a wait from %v on: %v, want %v", since, got, want)
		}
	}
	if l.overlapped(time.Time{}) {
		t.Error("no wait is none in vain")
	}
}

// TestPauseIsForgiven: a registry that stood still for ten minutes takes
// nobody's lease, believes what had arrived meanwhile, and says it was late.
func TestPauseIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Not run: this test wakes the owner itself, as a paused process does.
		r, err := New(t.Context(), Config{Store: newDisk()})
		if err != nil {
			t.Fatal(err)
		}
		o := &r.owner
		ids := []health.ID{health.ParseID("pay/a"), health.ParseID("pay/b")}
		apply := func(ev health.Event) { o.wake(&message{event: ev}) }
		o.clock.arm(time.Now(), time.Time{})
		for _, id := range ids {
			apply(health.Event{Kind: health.EventRegister, ID: id, Lease: 1, Spec: &health.Spec{Lease: 1, TTL: 30 * time.Second}})
			apply(health.Event{Kind: health.EventReport, ID: id, Lease: 1, Report: health.Report{Source: health.SourceMeshhealth, Status: health.Serving}})
		}
		next, _ := o.mesh.Deadline()
		o.clock.arm(time.Now(), next)
		began := time.Now()
		time.Sleep(100 * time.Second)
		// Both wait in the inbox: a follower's wait that ended in vain, and news.
		o.inbox <- message{event: health.Event{Kind: health.EventPath, ID: ids[0], Lease: 1}, since: began}
		o.inbox <- message{event: health.Event{Kind: health.EventReport, ID: ids[1], Lease: 1, Report: health.Report{Source: health.SourceMeshhealth, Status: health.NotServing}}}
		o.wake(nil)
		for i, want := range []health.Status{health.Serving, health.NotServing} {
			e, _ := r.Feed().Get(ids[i])
			if e.Status != want || e.Unconfirmed {
				t.Errorf("%v is %v, unconfirmed %v; want %v", ids[i], e.Status, e.Unconfirmed, want)
			}
		}
		if times, last := r.Late(); times != 1 || !last.Equal(time.Now()) {
			t.Errorf("late %d times, last %v", times, last)
		}
	})
}

// sleeper is a log that stops whoever writes to it.
type sleeper struct {
	slog.Handler
	next time.Duration
}

func (s *sleeper) Enabled(context.Context, slog.Level) bool { return true }

func (s *sleeper) Handle(context.Context, slog.Record) error {
	d := s.next
	s.next = 0
	time.Sleep(d)
	return nil
}

// TestPauseWhileAwake: a pause that meets the owner at work is noticed as well as
// one that meets it asleep.
func TestPauseWhileAwake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &sleeper{Handler: slog.DiscardHandler}
		r := run(t, Config{Store: newDisk(), Logger: slog.New(log)})
		lease := r.register(leased("pay/a", "i")).Lease
		log.next = 10 * time.Second
		r.says("pay/a", lease, health.Serving)
		time.Sleep(12 * time.Second)
		if times, _ := r.Late(); times != 1 {
			t.Errorf("late %d times, want once", times)
		}
	})
}

// TestBeats: a pause makes one heartbeat, not one for each second of it.
func TestBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{Store: newDisk()})
		if times, last := r.Late(); times != 0 || !last.IsZero() {
			t.Errorf("late %d times, %v", times, last)
		}
		o := &owner{feed: r.Feed(), lastBeat: time.Now()}
		for after, want := range map[time.Duration]time.Duration{
			999 * time.Millisecond: 0, time.Second: time.Second, 10500 * time.Millisecond: 10 * time.Second,
		} {
			o.lastBeat = time.Now()
			began := o.lastBeat
			o.beat(began.Add(after))
			if got := o.lastBeat.Sub(began); got != want {
				t.Errorf("after %v the last beat is %v on, want %v", after, got, want)
			}
		}
	})
}
