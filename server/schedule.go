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
	live     int  // runs that are in time so far
	called   bool // a worker is on its way
	seq      uint32
	epoch    time.Time
	started  bool
	closed   bool // nothing starts or counts any more

	// armed is when it asked to be woken, zero if it did not.
	armed time.Time
	// dirty are the tasks whose verdict may be another one than was last
	// counted.
	dirty  []*task
	totals totals
}

// step does what is due by now. It wants to be woken when armed says, by beat at
// the latest.
func (s *schedule) step(now, beat time.Time) {
	if late := now.Sub(s.armed); !s.armed.IsZero() && late > lateSlack {
		for i := range s.tasks {
			s.tasks[i].task.excuse(late, now)
		}
		s.reorder()
	}
	for at := s.at(now); len(s.tasks) > 0 && s.tasks[0].at <= at; {
		s.look(s.tasks[0].task, now)
	}
	s.armed = beat
	if s.early() {
		s.armed = s.epoch.Add(time.Duration(s.tasks[0].at))
	}
}

// callWorker reports whether another worker is to come: something waits, there
// is room for it, and none is on its way.
func (s *schedule) callWorker() bool {
	if s.called || len(s.waiting) == 0 || !s.room() {
		return false
	}
	s.called = true
	return true
}

func (s *schedule) room() bool { return !s.closed && (s.cap < 0 || s.live < s.cap) }

// arrive is take for a worker that was called.
func (s *schedule) arrive(ctx context.Context, now time.Time) (r *run, call bool) {
	s.called = false
	return s.take(ctx, now)
}

// take begins the next run that waits for room, if there is any and room, and
// then calls a worker for the one after it.
func (s *schedule) take(ctx context.Context, now time.Time) (r *run, call bool) {
	for len(s.waiting) > 0 && s.room() {
		t := heap.Pop(&s.waiting).(*task)
		if t.blockedBy() == nil {
			return s.begin(ctx, t, now), s.callWorker()
		}
		s.hold(t, now)
	}
	return nil, false
}

// look does what is due for t.
func (s *schedule) look(t *task, now time.Time) {
	ripe := t.next <= s.at(now)
	switch {
	case t.phase == running && !now.Before(t.current.overdue):
		s.overrun(t, now)
	case t.removed:
	case t.phase == stuck && ripe:
		s.observe(t, t.current.stillRunning(now), now)
	case t.phase == idle && ripe && t.blockedBy() != nil:
		s.hold(t, now)
	case t.phase == idle && ripe:
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
	s.live++
	s.fix(t)
	return r
}

// early reports whether step is wanted before the time it asked for.
func (s *schedule) early() bool { return len(s.tasks) > 0 && s.tasks[0].at < s.at(s.armed) }

// settle takes what a run came to.
func (s *schedule) settle(r *run, res result, now time.Time) {
	t := r.task
	if t.phase != stuck {
		s.live--
	}
	switch {
	case t.removed:
		s.forget(t)
		t.current = nil
		return
	case t.phase == stuck:
		// Too late to count; the next run is planned already.
		t.phase = idle
	case s.closed || res.void:
		t.phase, t.next = idle, never
	case r.excused && res.cause == health.CauseTimeout:
		// The time it did not get was ours.
		t.phase, t.next = idle, s.at(now)
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
	s.live--
	t.phase = stuck
	if t.removed {
		s.forget(t)
		return
	}
	res := result{
		evidence: health.Fail, cause: health.CauseTimeout,
		reason: fmt.Sprintf("no answer within %v, and still running", t.rules.timeout), value: t.current.observed(),
	}
	s.record(t, res, now)
}

// record takes the outcome of a run into figures and judgement.
func (s *schedule) record(t *task, res result, now time.Time) {
	t.took, t.value = now.Sub(t.current.began), res.value
	s.totals.add(t.took, res.evidence == health.Fail)
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
	next := t.plan(began, o.At, &ahead)
	t.next = s.at(next)
	o.Next = next.Add(t.rules.timeout + slack)
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
	t.seq, t.next = s.seq, s.at(now.Add(t.rules.initialDelay))
	heap.Push(&s.tasks, due{t.next, t})
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
	if c := t.tied().beside; c != nil {
		c.cancel()
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
		heap.Remove(&s.tasks, int(t.at))
		t.at = -1
	}
}

func (s *schedule) fix(t *task) {
	s.tasks[t.at].at = s.dueAt(t)
	heap.Fix(&s.tasks, int(t.at))
}

func (s *schedule) reorder() {
	for i := range s.tasks {
		s.tasks[i].at = s.dueAt(s.tasks[i].task)
	}
	heap.Init(&s.tasks)
}
