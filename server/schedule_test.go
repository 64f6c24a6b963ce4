package server

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"github.com/meshhealth/meshhealth/health"
)

// clockwork is a schedule with a clock that the test sets.
type clockwork struct {
	t   *testing.T
	s   schedule
	now time.Time
}

func newClockwork(t *testing.T) *clockwork {
	return &clockwork{t: t, now: time.Unix(1000, 0), s: schedule{maxRuns: DefaultMaxConcurrent, epoch: time.Unix(900, 0)}}
}

func (c *clockwork) add(check Check) *task {
	check.Run = func(context.Context) error { return nil }
	r := check.rules()
	t := &task{name: check.Name, run: check.Run, rules: &r, machine: machine.New(&r.policy, c.now)}
	c.s.add(t, c.now)
	return t
}

// after advances the clock and calls step. It returns the runs that have begun.
func (c *clockwork) after(d time.Duration) []*run {
	c.now = c.now.Add(d)
	c.s.step(c.now, c.now.Add(beatEvery))
	var starts []*run
	for r, _ := c.s.beginFirst(c.t.Context(), c.now); r != nil; r, _ = c.s.beginFirst(c.t.Context(), c.now) {
		starts = append(starts, r)
		c.t.Cleanup(r.stop)
	}
	if !c.s.wakeTime.After(c.now) {
		c.t.Errorf("wants to be woken at %v, which is past", c.s.wakeTime)
	}
	return starts
}

// until calls step at each wake time until t runs.
func (c *clockwork) until(t *task) *run {
	c.t.Helper()
	for range 10_000 {
		c.after(c.s.wakeTime.Sub(c.now))
		if t.phase == running {
			return t.current
		}
	}
	c.t.Fatal("it never runs")
	return nil
}

func (c *clockwork) finish(r *run, res outcome) { c.s.finish(r, res, c.now) }

func (c *clockwork) want(t *task, want health.Status) {
	c.t.Helper()
	if got := t.machine.Status(); got != want {
		c.t.Errorf("%v, want %v", got, want)
	}
}

var (
	passed   = outcome{evidence: machine.Pass}
	timedOut = failedOutcome(health.CauseTimeout, "context deadline exceeded")
)

func TestLatenessIsForgiven(t *testing.T) {
	c := newClockwork(t)
	db := c.add(Check{Name: "db", Every: 10 * time.Second, StaleAfter: time.Second})
	c.finish(c.after(0)[0], passed)
	c.want(db, health.Serving)
	// The process did not run for 30 s. In this time the evidence of db became no older.
	if starts := c.after(30 * time.Second); len(starts) != 1 {
		t.Fatalf("%d starts, want the one that was missed", len(starts))
	}
	c.want(db, health.Serving)
}

func TestLatenessIsForgivenFourTimes(t *testing.T) {
	c := newClockwork(t)
	db := c.add(Check{Name: "db", Every: 10 * time.Second, StaleAfter: time.Second})
	c.finish(c.after(0)[0], passed)
	c.after(4*10*time.Second + 15*time.Second)
	c.want(db, health.NotServing)
	if db.machine.Cause() != health.CauseStale {
		t.Errorf("cause %v", db.machine.Cause())
	}
}

func TestLittleLatenessIsNotForgiven(t *testing.T) {
	c := newClockwork(t)
	db := c.add(Check{Name: "db"})
	c.finish(c.after(0)[0], passed)
	c.after(c.s.wakeTime.Sub(c.now) + lateSlack)
	if db.forgiven != 0 {
		t.Errorf("forgiven %v", db.forgiven)
	}
	c.after(c.s.wakeTime.Sub(c.now) + lateSlack + 1)
	if db.forgiven != lateSlack+1 {
		t.Errorf("forgiven %v, want all of it", db.forgiven)
	}
}

func TestTimeoutInALatenessIsDropped(t *testing.T) {
	c := newClockwork(t)
	db := c.add(Check{Name: "db", Every: 10 * time.Second})
	c.finish(c.after(0)[0], passed)
	r := c.until(db)
	for i := range maxExcused {
		c.after(8 * time.Second) // the timeout ended while the process did not run
		if db.phase != running {
			t.Fatalf("%d: it was given up", i)
		}
		c.finish(r, timedOut)
		c.want(db, health.Serving)
		starts := c.after(0)
		if len(starts) != 1 {
			t.Fatalf("%d: it does not run again at once", i)
		}
		r = starts[0]
	}
	// Without this limit a timeout might never count.
	c.after(8 * time.Second)
	c.want(db, health.Degraded)
	if db.machine.Cause() != health.CauseTimeout {
		t.Errorf("cause %v", db.machine.Cause())
	}
}

func TestEvidenceAfterALatenessCounts(t *testing.T) {
	c := newClockwork(t)
	db := c.add(Check{Name: "db"})
	r := c.after(0)[0]
	c.after(20 * time.Second)
	c.finish(r, failedOutcome(health.CauseFailed, "down"))
	c.want(db, health.NotServing)
}

func TestStuckAfterALatenessIsGivenUp(t *testing.T) {
	c := newClockwork(t)
	db := c.add(Check{Name: "db"})
	r := c.after(0)[0]
	c.after(20 * time.Second)
	if db.phase != running {
		t.Fatal("it was given up without the time it had left")
	}
	c.now = r.overdue
	c.after(0)
	if db.phase != stuck {
		t.Errorf("phase %v, want stuck", db.phase)
	}
	c.want(db, health.NotServing)
}

func TestRemovedStuckRunLeavesRoom(t *testing.T) {
	c := newClockwork(t)
	c.s.maxRuns = 1
	a, b := c.add(Check{Name: "a"}), c.add(Check{Name: "b"})
	r := c.after(0)[0]
	c.s.remove(a, c.now)
	if r.Err() == nil {
		t.Error("its context goes on")
	}
	if len(c.after(time.Millisecond)) != 0 {
		t.Error("it has lost its place, and may still run")
	}
	c.until(b)
	if waited := c.now.Sub(r.began); waited != DefaultTimeout+grace {
		t.Errorf("b waited %v", waited)
	}
	c.finish(r, passed) // long after the run was given up
	if n := len(slices.Collect(c.s.wheel.all())); n != 1 || a.machine.Status() != health.Starting {
		t.Errorf("%d tasks, a is %v", n, a.machine.Status())
	}
}

func TestPauseAfter(t *testing.T) {
	for due, want := range map[int]time.Duration{
		0: time.Millisecond, 1: time.Millisecond, 2: 2 * time.Millisecond, 9: 9 * time.Millisecond,
		10: 10 * time.Millisecond, 11: 10 * time.Millisecond, MaxChecks: 10 * time.Millisecond,
	} {
		if got := pauseAfter(due); got != want {
			t.Errorf("after %d tasks: %v, want %v", due, got, want)
		}
	}
}

func TestQuantile(t *testing.T) {
	var all totals
	if m := all.metrics(); m.ResponseTimeP50 != 0 || m.ResponseTimeP99 != 0 || m.Runs != 0 {
		t.Errorf("of nothing: %+v", m)
	}
	for i := range 1000 {
		all.add(time.Duration(1000-i), i < 10) // the last 256 values are 256 ... 1
	}
	m := all.metrics()
	if m.Runs != 1000 || m.Failures != 10 || m.ResponseTimeP50 != 128 || m.ResponseTimeP99 != 254 {
		t.Errorf("%+v", m)
	}
	if n := testing.AllocsPerRun(100, func() { all.add(1, false) }); n != 0 {
		t.Errorf("%v allocations per run", n)
	}
}
