package server

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	// slack is what a run may be late by before its evidence gets old.
	slack = time.Second
	// grace lets a check that heeds its context say what it was waiting for.
	grace = 50 * time.Millisecond
	// lateSlack is how late the scheduler may wake without it meaning anything.
	lateSlack = 500 * time.Millisecond
)

// schedule knows what runs when. It starts nothing and reads no clock; the
// server's lock guards it.
type schedule struct {
	cap      int // of runs at once; negative: none
	remember int // runs of each check
	tasks    dueHeap
	waiting  waitHeap
	live     map[*run]struct{} // in time so far
	seq      uint64
	started  bool
	closed   bool // nothing starts or counts any more

	// armed is when it asked to be woken, zero if it did not.
	armed time.Time
	// dirty are the tasks whose verdict may be another one than was last
	// counted.
	dirty  []*task
	totals totals
}

// step does what is due by now and returns the runs to start. It wants to be
// woken when armed says, by beat at the latest.
func (s *schedule) step(ctx context.Context, now, beat time.Time) (starts []*run) {
	if late := now.Sub(s.armed); !s.armed.IsZero() && late > lateSlack {
		for _, t := range s.tasks {
			t.excuse(late, now)
		}
		s.reorder()
	}
	for len(s.tasks) > 0 && !s.tasks[0].due.After(now) {
		s.look(s.tasks[0], now)
	}
	for r := s.take(ctx, now); r != nil; r = s.take(ctx, now) {
		starts = append(starts, r)
	}
	s.armed = beat
	if len(s.tasks) > 0 && s.tasks[0].due.Before(beat) {
		s.armed = s.tasks[0].due
	}
	return starts
}

// take begins the next run that waits for room, if there is room.
func (s *schedule) take(ctx context.Context, now time.Time) *run {
	for len(s.waiting) > 0 && !s.closed && (s.cap < 0 || len(s.live) < s.cap) {
		t := heap.Pop(&s.waiting).(*task)
		if t.blockedBy() == nil {
			return s.begin(ctx, t, now)
		}
		s.hold(t, now)
	}
	return nil
}

// look does what is due for t.
func (s *schedule) look(t *task, now time.Time) {
	switch {
	case t.phase == running && !now.Before(t.current.overdue):
		s.overrun(t, now)
	case t.removed:
	case t.phase == stuck && !now.Before(t.next):
		s.observe(t, t.current.stillRunning(now), now)
	case t.phase == idle && !now.Before(t.next) && t.blockedBy() != nil:
		s.hold(t, now)
	case t.phase == idle && !now.Before(t.next):
		t.phase = waiting
		heap.Push(&s.waiting, t)
	}
	if !t.removed && t.phase != blocked {
		s.note(t, now, func(m *health.Machine) { m.Tick(now) })
		s.fix(t)
	}
}

func (s *schedule) begin(ctx context.Context, t *task, now time.Time) *run {
	r := newRun(ctx, t, now)
	t.phase, t.current = running, r
	s.live[r] = struct{}{}
	s.fix(t)
	return r
}

// early reports whether step is wanted before the time it asked for.
func (s *schedule) early() bool { return len(s.tasks) > 0 && s.tasks[0].due.Before(s.armed) }

// settle takes what a run came to.
func (s *schedule) settle(r *run, res result, now time.Time) {
	t := r.task
	delete(s.live, r)
	switch {
	case t.removed:
		s.forget(t)
		t.current = nil
		return
	case t.phase == stuck:
		// Too late to count; the next run is planned already.
		t.phase = idle
	case s.closed || res.void:
		t.phase, t.next = idle, far
	case r.excused && res.cause == health.CauseTimeout:
		// The time it did not get was ours.
		t.phase, t.next = idle, now
		t.dropped++
	default:
		t.phase = idle
		s.record(t, res, now)
	}
	t.current = nil // with its context, which weighs more than the task
	s.fix(t)
}

// overrun gives up waiting for a run.
func (s *schedule) overrun(t *task, now time.Time) {
	delete(s.live, t.current)
	if t.removed {
		s.forget(t)
		return
	}
	t.phase = stuck
	res := result{
		evidence: health.Fail, cause: health.CauseTimeout,
		reason: fmt.Sprintf("no answer within %v, and still running", t.check.Timeout), value: t.current.observed(),
	}
	s.record(t, res, now)
}

// record takes the outcome of a run into figures and judgement.
func (s *schedule) record(t *task, res result, now time.Time) {
	t.lastRun, t.took, t.value = now, now.Sub(t.current.began), res.value
	t.runs++
	failed := res.evidence == health.Fail
	if failed {
		t.failures++
	}
	s.totals.add(t.took, failed)
	t.tally.add(&res, t.took, now)
	t.history.add(&res, t.took, now, s.remember)
	s.observe(t, health.Observation{At: now, Evidence: res.evidence, Cause: res.cause, Reason: res.reason}, t.current.began)
}

// observe takes evidence and plans the next run.
func (s *schedule) observe(t *task, o health.Observation, began time.Time) {
	// When the next run comes depends on what the machine will think, and when
	// this one gets old on the next run: a copy is asked first.
	ahead := t.machine
	ahead.Observe(o)
	t.plan(began, o.At, &ahead)
	o.Next = t.next.Add(t.check.Timeout + slack)
	t.forgiven, t.dropped = 0, 0
	s.note(t, o.At, func(m *health.Machine) { m.Observe(o) })
}

// note applies f to t's machine, and notes whether its verdict changed.
func (s *schedule) note(t *task, now time.Time, f func(*health.Machine)) {
	status, cause := t.machine.Status(), t.machine.Cause()
	f(&t.machine)
	if t.machine.Status() != status || t.machine.Cause() != cause {
		s.soil(t)
		s.ripple(t, now)
	}
}

// soil makes t be counted anew.
func (s *schedule) soil(t *task) {
	if !t.dirty {
		t.dirty = true
		s.dirty = append(s.dirty, t)
	}
}

// add takes in a task that is due after its initial delay.
func (s *schedule) add(t *task, now time.Time) {
	s.seq++
	t.seq, t.next = s.seq, now.Add(t.check.InitialDelay)
	t.due = t.next
	heap.Push(&s.tasks, t)
	s.soil(t)
}

// remove takes a task out. One that runs is cancelled, and keeps its place
// under the cap until it returns or is overdue.
func (s *schedule) remove(t *task, now time.Time) {
	t.removed = true
	s.soil(t)
	s.unlink(t, now)
	if t.current != nil {
		t.current.cancel()
	}
	if t.beside != nil {
		t.beside.cancel()
	}
	switch t.phase {
	case running:
		s.fix(t)
		return
	case waiting:
		s.waiting = slices.DeleteFunc(s.waiting, func(w *task) bool { return w == t })
		heap.Init(&s.waiting)
	}
	s.forget(t)
}

func (s *schedule) forget(t *task) {
	if t.at >= 0 {
		heap.Remove(&s.tasks, t.at)
		t.at = -1
	}
}

func (s *schedule) fix(t *task) {
	t.due = t.dueAt()
	heap.Fix(&s.tasks, t.at)
}

func (s *schedule) reorder() {
	for _, t := range s.tasks {
		t.due = t.dueAt()
	}
	heap.Init(&s.tasks)
}
