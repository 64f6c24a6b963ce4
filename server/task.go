package server

import (
	"container/list"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// phase is what a task is doing.
type phase uint8

const (
	idle    phase = iota // until next
	waiting              // for room under the cap
	running              // until it returns or is overdue
	stuck                // did not return in time, and still runs
	blocked              // until what it comes after is better
)

// task is a check and where it stands. The server's lock guards it.
type task struct {
	check   Check
	machine health.Machine
	// newcomer: it came when the service was routable already, and does not
	// take it out for want of its first run.
	newcomer bool
	removed  bool

	// boards are the names it is shown under; how it was last counted there;
	// its place among the tasks in trouble, nil if it is not.
	boards []*board
	// after and before are the checks it waits for, and those that wait for it;
	// heldAt is since when it does.
	after, before []*task
	heldAt        time.Time
	entered       bool
	enteredAs     health.Status
	trouble       *list.Element
	ofKind        bool
	kindAs        health.Status
	dirty         bool

	phase   phase
	next    time.Time // when it should run, or should have
	due     time.Time // when the schedule must look at it
	at      int       // its place in the heap of these
	seq     uint64    // orders equals: first come, first served
	current *run
	beside  *companion
	spread  bool // the random phase has been taken

	// forgiven and dropped bound what lateness may excuse between two pieces of
	// evidence.
	forgiven time.Duration
	dropped  int

	lastRun        time.Time
	took           time.Duration
	runs, failures uint64
	value          reading
	tally          tally
	history        history
}

// far is later than anything happens.
var far = time.Unix(1<<40, 0)

// dueAt returns when the schedule must look at t.
func (t *task) dueAt() time.Time {
	at := far
	switch t.phase {
	case idle, stuck:
		at = t.next
	case running:
		at = t.current.overdue
	}
	if t.phase == blocked {
		return far // nobody asks it, so that it cannot be late with an answer
	}
	if end, ok := t.machine.Deadline(); ok && !t.removed && end.Before(at) {
		at = end
	}
	return at
}

// plan sets when t runs next, after a run that began and ended then, and made m
// of its machine.
func (t *task) plan(began, ended time.Time, m *health.Machine) {
	doubt := m.InDoubt()
	wait := t.check.again(doubt)
	if t.check.BreakAfter > 0 && m.Fails() >= t.check.BreakAfter {
		wait = t.check.backOff(m.Fails())
	}
	if t.current != nil && t.current.again {
		t.next = ended.Add(MinEvery)
		return
	}
	next := began.Add(jitter(wait))
	if !doubt && !t.spread {
		// All began together; from here on they are spread out.
		t.spread = true
		t.next = began.Add(phaseOf(wait))
		return
	}
	if rest := ended.Add(wait / 2); next.Before(rest) {
		next = rest
	}
	t.next = next
}

// excuse moves t's deadlines by as much as the scheduler was late: no longer
// than four times its interval between two pieces of evidence.
func (t *task) excuse(late time.Duration, now time.Time) {
	late = min(late, maxExcused*t.check.Every-t.forgiven)
	if late <= 0 {
		return
	}
	t.forgiven += late
	t.machine.Forgive(late)
	if t.phase != running || t.dropped == maxExcused {
		return
	}
	t.current.excused = true
	t.current.overdue = t.current.overdue.Add(late)
	if soon := now.Add(grace); t.current.overdue.Before(soon) {
		// What it has found may be waiting to be told.
		t.current.overdue = soon
	}
}

// maxExcused bounds, in intervals and in runs, what lateness excuses.
const maxExcused = 4

// state returns t as it is published.
func (t *task) state() health.CheckState {
	v := t.says()
	return health.CheckState{
		Name: t.check.Name, Status: v.status, Cause: v.cause, Reason: v.reason,
		LastRun: t.lastRun, ResponseTime: t.took, Passes: t.machine.Passes(), Fails: t.machine.Fails(),
		HasValue: t.value.set, Value: t.value.value, Unit: t.value.unit,
		Runs: t.runs, Failures: t.failures,
	}
}
