package server

import (
	"container/list"
	"context"
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

// task is a check and where it stands. The server's lock guards it. There may
// be very many, so it is kept small.
type task struct {
	name    string
	run     func(context.Context) error
	rules   *rules
	ties    *ties // nil: none
	machine health.Machine

	// boards are the names it is shown under; its place among the tasks in
	// trouble, nil if it is not.
	boards  []*board
	trouble *list.Element

	current  *run
	next     instant       // when it should run, or should have
	forgiven time.Duration // what lateness has excused since the last evidence
	value    *reading      // nil: it has observed nothing
	took     time.Duration // its last run
	tally    tally
	history  history

	at  int32  // its place in the heap; -1 if it is in none
	seq uint32 // orders equals: first come, first served

	phase   phase
	dropped uint8 // runs that lateness has excused since the last evidence
	// newcomer: it came when the service was routable already, and does not
	// take it out for want of its first run.
	newcomer bool
	removed  bool
	spread   bool // the random phase has been taken
	// dirty: it is to be counted anew; how it was on its boards, and in its kind.
	dirty     bool
	entered   bool
	enteredAs health.Status
	ofKind    bool
	kindAs    health.Status
}

// ties are what few checks have.
type ties struct {
	tags []string
	// after and before are the checks it waits for, and those that wait for it;
	// heldAt is since when it does.
	after, before []*task
	heldAt        time.Time
	beside        *companion
}

var none ties

// tied returns t's ties for reading.
func (t *task) tied() *ties {
	if t.ties == nil {
		return &none
	}
	return t.ties
}

// tie returns t's ties for writing.
func (t *task) tie() *ties {
	if t.ties == nil {
		t.ties = &ties{}
	}
	return t.ties
}

// dueAt returns when the schedule must look at t.
func (s *schedule) dueAt(t *task) instant {
	at := never
	switch t.phase {
	case idle, stuck:
		at = t.next
	case running:
		at = s.at(t.current.overdue)
	}
	if t.phase == blocked {
		return never // nobody asks it, so that it cannot be late with an answer
	}
	if end, ok := t.machine.Deadline(); ok && !t.removed {
		at = min(at, s.at(end))
	}
	return at
}

// plan returns when t runs next, after a run that began and ended then, and made
// m of its machine.
func (t *task) plan(began, ended time.Time, m *health.Machine) time.Time {
	doubt := m.InDoubt()
	wait := t.rules.again(doubt)
	if n := t.rules.breakAfter; n > 0 && m.Fails() >= n {
		wait = t.rules.backOff(m.Fails())
	}
	if t.current.again {
		return ended.Add(MinEvery)
	}
	if !doubt && !t.spread {
		// All began together; from here on they are spread out.
		t.spread = true
		return began.Add(phaseOf(wait))
	}
	return later(began.Add(jitter(wait)), ended.Add(wait/2))
}

// excuse moves t's deadlines by as much as the scheduler was late: no longer
// than four times its interval between two pieces of evidence.
func (t *task) excuse(late time.Duration, now time.Time) {
	late = min(late, maxExcused*t.rules.every-t.forgiven)
	if late <= 0 {
		return
	}
	t.forgiven += late
	t.machine.Forgive(late)
	if t.phase != running || t.dropped == maxExcused {
		return
	}
	t.current.excused = true
	// What it has found may be waiting to be told.
	t.current.overdue = later(t.current.overdue.Add(late), now.Add(grace))
}

// maxExcused bounds, in intervals and in runs, what lateness excuses.
const maxExcused = 4

// state returns t as it is published.
func (t *task) state() health.CheckState {
	v := t.says()
	state := health.CheckState{
		Name: t.name, Status: v.status, Cause: v.cause, Reason: v.reason,
		LastRun: t.tally.last(), ResponseTime: t.took, Passes: t.machine.Passes(), Fails: t.machine.Fails(),
		Runs: t.tally.runs(), Failures: t.tally.failures(),
	}
	if t.value != nil {
		state.HasValue, state.Value, state.Unit = true, t.value.value, t.value.unit
	}
	return state
}
