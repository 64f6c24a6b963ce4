package server

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/machine"
)

const (
	// slack is added to the time by which the next run of a check must have ended. Without
	// slack, the last outcome would become stale if this run is a little late.
	slack = time.Second
	// If the scheduler is late by more than lateSlack, the deadlines of all checks are extended
	// by the time by which the scheduler was late.
	lateSlack = 500 * time.Millisecond
	// minPause and maxPause bound the result of pauseAfter.
	minPause = time.Millisecond
	maxPause = 10 * time.Millisecond
)

// pauseAfter returns the shortest time between two steps of the scheduler, if the given number
// of tasks was due in the first step. The second step does all work that becomes due between
// them. So while many tasks are due, the scheduler wakes less often. While few tasks are due,
// each run begins on time.
func pauseAfter(tasks int) time.Duration {
	return min(max(time.Duration(tasks)*time.Millisecond, minPause), maxPause)
}

// schedule decides which check runs, and when. It starts no goroutine and reads no
// clock. pipeline.mu guards it.
type schedule struct {
	maxRuns  int       // largest number of runs at the same time; negative: no limit
	history  int       // number of runs that the history of each check keeps
	wheel    wheel     // all tasks, by the time when they are due
	waiting  waitHeap  // tasks whose run is due and waits for a worker
	inTime   int       // number of runs that are in progress and not overdue
	called   bool      // true if a worker was started and has not called beginFirst yet
	lastSeq  uint32    // field seq of the task that was added last
	epoch    time.Time // time from which instants are counted
	closed   bool      // true after Run has ended: no run starts, and no outcome counts
	wakeTime time.Time // time when step must be called again; zero before the first step
	wakeSoon bool      // true if a task is due before wakeTime, so that step must be called earlier

	// changed has the tasks whose status may have changed since judgement.count was last
	// called for them.
	changed []*task
	totals  totals
}

// instant converts t to nanoseconds after epoch. A time more than 292 years after epoch
// becomes the constant never.
func (s *schedule) instant(t time.Time) instant { return instant(t.Sub(s.epoch)) }

// step does all work that is due at the time now and returns the number of tasks that were
// due. It sets wakeTime to the time when the next task is due, but not later than `limit`.
func (s *schedule) step(now, limit time.Time) (due int) {
	if late := now.Sub(s.wakeTime); !s.wakeTime.IsZero() && late > lateSlack {
		for _, t := range slices.Collect(s.wheel.all()) {
			t.forgive(late, now)
			s.updateDueTime(t)
		}
	}
	s.wheel.advance(s.instant(now))
	for t := s.wheel.ready(); t != nil; t = s.wheel.ready() {
		s.doDue(t, now)
		due++
	}
	s.wakeTime = s.epoch.Add(time.Duration(s.wheel.next(s.instant(limit))))
	s.wakeSoon = false
	return due
}

// doDue does all work that is due for t. It stops waiting for an overdue run of t, makes t
// wait for a worker, or blocks t because of a dependency. After that it lets the state
// machine of t handle changes that need no run, such as a stale outcome.
func (s *schedule) doDue(t *task, now time.Time) {
	ready := t.next <= s.instant(now)
	switch {
	case t.phase == running && !now.Before(t.current.overdue):
		s.giveUpRun(t, now)
	case t.removed:
	case t.phase == stuck && ready:
		s.observe(t, t.current.stillRunning(now), now)
	case t.phase == idle && ready && t.blocker() != nil:
		s.block(t, now)
	case t.phase == idle && ready:
		t.phase = waiting
		heap.Push(&s.waiting, t)
	}
	if !t.removed && t.phase != blocked {
		s.updateMachine(t, now, func(m *machine.Machine) { m.Tick(now) })
		s.updateDueTime(t)
	}
}

// callWorker reports whether the caller must start a worker. This is so if a task waits and a
// run may begin, unless a worker was started already that has not called beginFirst yet.
func (s *schedule) callWorker() bool {
	if s.called || len(s.waiting) == 0 || !s.mayBegin() {
		return false
	}
	s.called = true
	return true
}

func (s *schedule) mayBegin() bool { return !s.closed && (s.maxRuns < 0 || s.inTime < s.maxRuns) }

// beginFirst begins the first run of a new worker. r is nil if no task waits or no run may
// begin. callWorker reports whether the caller must start another worker.
func (s *schedule) beginFirst(ctx context.Context, now time.Time) (r *run, callWorker bool) {
	s.called = false
	return s.beginNext(ctx, now)
}

// beginNext begins the run of the first task that waits. r is nil if no task waits or no
// run may begin. callWorker reports whether the caller must start another worker.
func (s *schedule) beginNext(ctx context.Context, now time.Time) (r *run, callWorker bool) {
	for len(s.waiting) > 0 && s.mayBegin() {
		t := heap.Pop(&s.waiting).(*task)
		if t.blocker() == nil {
			return s.begin(ctx, t, now), s.callWorker()
		}
		s.block(t, now)
	}
	return nil, false
}

func (s *schedule) begin(ctx context.Context, t *task, now time.Time) *run {
	r := newRun(ctx, t, now)
	t.phase, t.current = running, r
	s.inTime++
	s.updateDueTime(t)
	return r
}

// runSoon makes t run as soon as MinEvery allows. If t is running, it runs once more after
// that run.
func (s *schedule) runSoon(t *task, now time.Time) {
	// The clock may have been set back since the last run, so the wait is limited.
	wait := min(MinEvery, max(0, MinEvery-now.Sub(timeOf(t.stats.lastRun))))
	switch soon := s.instant(now.Add(wait)); {
	case t.removed || s.closed:
	case t.phase == running:
		t.current.rerun = true
	case t.phase == idle && t.next > soon:
		t.next = soon
		s.updateDueTime(t)
	}
}

// finish records the outcome of a run whose check has returned.
func (s *schedule) finish(r *run, o outcome, now time.Time) {
	t := r.task
	if t.phase != stuck {
		s.inTime--
	}
	switch {
	case t.removed:
		s.wheel.remove(t)
		t.current = nil
		return
	case t.phase == stuck:
		// giveUpRun has recorded this run already, and has set the time of the next run.
		t.phase = idle
	case s.closed || o.void:
		t.phase, t.next = idle, never
	case r.excused && o.cause == health.CauseTimeout:
		// The scheduler was late, so the timeout does not count.
		t.phase, t.next = idle, s.instant(now)
		t.excusedRuns++
	default:
		t.phase = idle
		s.record(t, o, now)
	}
	t.current = nil // frees the context of the run, which uses more memory than the task
	s.updateDueTime(t)
}

// giveUpRun records a timeout for a run that has not returned.
func (s *schedule) giveUpRun(t *task, now time.Time) {
	s.inTime--
	t.phase = stuck
	if t.removed {
		s.wheel.remove(t)
		return
	}
	s.record(t, outcome{
		evidence: machine.Fail, cause: health.CauseTimeout,
		reason: fmt.Sprintf("no answer within %v, and still running", t.rules.timeout), value: t.current.closeValue(),
	}, now)
}

// record adds the outcome o of a run of t to the statistics and the history of t. It also
// passes the outcome to the state machine of t.
func (s *schedule) record(t *task, o outcome, now time.Time) {
	t.took = now.Sub(t.current.began)
	t.setValue(o.value)
	s.totals.add(t.took, o.evidence == machine.Fail)
	t.history.add(t.stats.runs(), &o, t.took, now, s.history)
	t.stats.add(&o, t.took, now)
	s.observe(t, machine.Observation{At: now, Evidence: o.evidence, Cause: o.cause, Reason: o.reason}, t.current.began)
}

// observe passes the result o of a run to the state machine of t and sets the time of the
// next run. began is the time when the run began.
func (s *schedule) observe(t *task, o machine.Observation, began time.Time) {
	// The time of the next run depends on the state of the machine after this result. But the
	// machine needs this time together with the result. So a copy gets the result first.
	ahead := t.machine
	ahead.Observe(o)
	next := t.nextRun(began, o.At, &ahead)
	t.next = s.instant(next)
	o.Next = next.Add(t.rules.timeout + slack)
	t.forgiven, t.excusedRuns = 0, 0
	s.updateMachine(t, o.At, func(m *machine.Machine) { m.Observe(o) })
}

// updateMachine calls f with the state machine of t. If f changes the status or its cause,
// updateMachine updates the blockers of the checks that depend on t.
func (s *schedule) updateMachine(t *task, now time.Time, f func(*machine.Machine)) {
	status, cause := t.machine.Status(), t.machine.Cause()
	f(&t.machine)
	if t.machine.Status() != status || t.machine.Cause() != cause {
		s.markChanged(t)
		s.updateDependents(t, now)
	}
}

// markChanged adds t to the list of changed tasks, unless the list has t already.
func (s *schedule) markChanged(t *task) {
	if !t.changed {
		t.changed = true
		s.changed = append(s.changed, t)
	}
}

// forEachChanged calls f for each changed task and empties the list.
func (s *schedule) forEachChanged(f func(*task)) {
	for _, t := range s.changed {
		t.changed = false
		f(t)
	}
	clear(s.changed)
	s.changed = withoutPeak(s.changed[:0])
}

// add adds a task to the schedule. Its first run is due after its initial delay.
func (s *schedule) add(t *task, now time.Time) {
	s.lastSeq++
	t.seq, t.next = s.lastSeq, s.instant(now.Add(t.rules.initialDelay))
	s.setDueTime(t, t.next)
	s.markChanged(t)
}

// remove removes the task t from the schedule and cancels the run of t, if there is one. The
// run still counts for maxRuns until it returns or is overdue.
func (s *schedule) remove(t *task, now time.Time) {
	t.removed = true
	s.markChanged(t)
	if t.extras != nil {
		t.unlinkDependencies()
		s.updateDependents(t, now)
		t.unlinkDependents()
	}
	if t.current != nil {
		t.current.stop()
	}
	if stop := t.extra().stopBackground; stop != nil {
		stop()
	}
	switch t.phase {
	case running:
		s.updateDueTime(t)
		return
	case waiting:
		s.waiting = slices.DeleteFunc(s.waiting, func(w *task) bool { return w == t })
		heap.Init(&s.waiting)
	}
	s.wheel.remove(t)
}

// block puts t into the phase blocked. t does not run until unblock ends this phase.
func (s *schedule) block(t *task, now time.Time) {
	t.phase, t.ownExtras().blockedSince = blocked, now
	s.markChanged(t)
	s.updateDueTime(t)
}

// updateDependents updates the blockers of all checks that depend on t, directly or through
// other checks.
func (s *schedule) updateDependents(t *task, now time.Time) {
	if len(t.dependents()) == 0 {
		return
	}
	// In reverse postorder, each check comes after all checks on which it depends.
	for _, d := range slices.Backward(postorder([]*task{t}, (*task).dependents)) {
		if d == t || d.removed {
			continue
		}
		d.updateBlocker()
		s.markChanged(d)
		s.unblock(d, now)
	}
}

// unblock does nothing if t has a blocker. Otherwise, it makes t run at once if t was blocked
// until now, or if the breaker of t is open.
func (s *schedule) unblock(t *task, now time.Time) {
	if t.blocker() != nil {
		return
	}
	switch {
	case t.phase == blocked:
		// The check could not run while it was blocked. So the age of its last outcome does
		// not include this time.
		t.machine.Forgive(now.Sub(t.extras.blockedSince))
		t.phase, t.next = idle, s.instant(now)
	case t.phase == idle && t.breakerOpen():
		t.next = s.instant(now)
	default:
		return
	}
	s.updateDueTime(t)
}

// dueTime returns when doDue must be called for t.
func (s *schedule) dueTime(t *task) instant {
	at := never
	switch t.phase {
	case blocked:
		return never // a blocked task has no run, and its last outcome does not become stale
	case idle, stuck:
		at = t.next
	case running:
		at = s.instant(t.current.overdue)
	}
	if end, ok := t.machine.Deadline(); ok && !t.removed {
		at = min(at, s.instant(end))
	}
	return at
}

// updateDueTime computes the due time of t and moves t to its place in the wheel.
func (s *schedule) updateDueTime(t *task) { s.setDueTime(t, s.dueTime(t)) }

func (s *schedule) setDueTime(t *task, at instant) {
	s.wheel.put(t, at)
	s.wakeSoon = s.wakeSoon || at < s.instant(s.wakeTime)
}
