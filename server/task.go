package server

import (
	"container/list"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/delay"
	"github.com/meshhealth/meshhealth/internal/machine"
)

// phase is the activity of a task.
type phase uint8

const (
	idle    phase = iota // the task has no run; the next run is due at task.next
	waiting              // a run is due and waits until fewer than MaxConcurrent checks run
	running              // a run is in progress and is not overdue
	stuck                // a run is overdue and has not returned
	blocked              // the task does not run, because a check that it depends on does not allow it
)

// instant is a time in ns since schedule.epoch.
type instant int64

// never is the largest instant. It is the due time of a task that has nothing to do.
const never instant = math.MaxInt64

// task is a check together with its state. The lock of the pipeline guards it. A server
// may have 200,000 tasks, so the type is kept small.
type task struct {
	name    string
	run     func(context.Context) error
	rules   *rules
	extras  *extras // nil: the task has no extras
	machine machine.Machine

	// trouble is the element of judgement.worst that has this task. It is nil if the task is
	// no reason why a service is not SERVING.
	trouble *list.Element

	current  *run          // run that has not returned; nil: there is none
	next     instant       // time when the next run is due
	forgiven time.Duration // time by which the method forgive has extended the deadlines since the last outcome
	took     time.Duration // duration of the last run
	stats    stats
	history  history

	place place  // place of the task in schedule.wheel
	seq   uint32 // number of the task in the order of Add

	phase       phase
	excusedRuns uint8 // number of timeouts since the last outcome that do not count, because the scheduler was late
	// newToAll is set if, when the check was added, the status of all its services allowed
	// traffic. Until its first outcome, the check does not make these services STARTING.
	newToAll bool
	removed  bool
	spread   bool // true after nextRun has once chosen a random time for the next run
	changed  bool // true if schedule.changed has the task
	// counted is set if the counts of the services include the task. countedAs is the status
	// under which the services count the task.
	counted   bool
	countedAs health.Status
}

// extras holds fields of a task that only few tasks need.
type extras struct {
	tags []string
	// services are the served services that have the check as a member. nil means only the
	// service with the name Config.Service.
	services []*servedService
	// dependencies are the checks in DependsOn of this check. dependents are the checks that
	// have this check in their DependsOn.
	dependencies, dependents []*task
	blocker                  *task     // check whose status blocks this check; nil: none
	blockedSince             time.Time // begin of the phase blocked
	// stopBackground ends the function that Background has started; nil: there is none.
	stopBackground context.CancelFunc
	value          *reading // value that the last run has observed; nil: none
	// newTo are the services whose status allowed traffic when the check was added. It is nil
	// if this is true for all services of the check, because newToAll is set for these. Until
	// its first outcome, the check does not make these services STARTING.
	newTo []*servedService
}

var noExtras extras

// extra returns the extras of t for reading.
func (t *task) extra() *extras {
	if t.extras == nil {
		return &noExtras
	}
	return t.extras
}

// ownExtras returns the extras of t for writing. It creates them if t has none.
func (t *task) ownExtras() *extras {
	if t.extras == nil {
		t.extras = &extras{}
	}
	return t.extras
}

// setValue sets the value that the last run has observed. nil means none.
func (t *task) setValue(value *reading) {
	if value != nil || t.extras != nil {
		t.ownExtras().value = value
	}
}

func (t *task) isNewTo(s *servedService) bool {
	return t.newToAll || slices.Contains(t.extra().newTo, s)
}

// blocker returns the check whose status blocks t. It returns nil if t may run.
func (t *task) blocker() *task { return t.extra().blocker }

// breakerOpen reports whether the breaker of t is open: at least BreakAfter runs have
// failed in a row.
func (t *task) breakerOpen() bool {
	return t.rules.breakAfter > 0 && t.machine.Fails() >= t.rules.breakAfter
}

// nextRun returns the time of the next run. began and ended are the times of the last run.
// m is the state machine of the check after it has received the result of the last run.
func (t *task) nextRun(began, ended time.Time, m *machine.Machine) time.Time {
	mayChange := m.Suspect()
	wait := t.rules.interval(mayChange)
	if n := t.rules.breakAfter; n > 0 && m.Fails() >= n {
		wait = t.rules.breakerInterval(m.Fails())
	}
	if t.current.rerun {
		return ended.Add(MinEvery)
	}
	if !mayChange && !t.spread {
		// All checks begin together at the start. A random time spreads their later runs.
		t.spread = true
		return began.Add(delay.Between(1, wait, rand.Float64())) // #nosec G404 -- a delay
	}
	return later(began.Add(delay.Around(wait, rand.Float64())), ended.Add(wait/2)) // #nosec G404 -- a delay
}

// maxExcused is the largest number of timeouts that do not count between two outcomes of a
// check, because the scheduler was late. Between two outcomes, lateness also extends the
// deadlines of the check, by at most maxExcused times its interval.
const maxExcused = 4

// forgive extends the deadlines of t by lateness: the time by which the scheduler was late.
// maxExcused limits the sum of these extensions.
func (t *task) forgive(lateness time.Duration, now time.Time) {
	lateness = min(lateness, maxExcused*t.rules.every-t.forgiven)
	if lateness <= 0 {
		return
	}
	t.forgiven += lateness
	t.machine.Forgive(lateness)
	if t.phase != running || t.excusedRuns == maxExcused {
		return
	}
	t.current.excused = true
	// The check may have returned already. Its worker has 50 ms (the constant grace) to
	// report the outcome.
	t.current.overdue = later(t.current.overdue.Add(lateness), now.Add(grace))
}

// verdict is a status with its explanation. It is the status of one check or of one served
// service, or a status that the program has set by hand.
type verdict struct {
	status       health.Status
	cause        health.Cause
	reason       string
	firstFailure time.Time // time of the first failure of the present trouble; zero: none
}

// sentence returns the reason of a verdict that is not SERVING, in the form "CHECK: REASON".
// name is the name of the check. It is "" for a status that the program has set, whose reason
// stands alone.
func (v *verdict) sentence(name string) string {
	reason := v.reason
	if reason == "" {
		reason = v.cause.String()
	}
	if name == "" {
		return reason
	}
	return name + ": " + reason
}

// earlier returns the earlier of two times. If one of them is zero, it returns the other.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// ownVerdict returns the status of the check with its explanation. If another check blocks
// it, the status is at least as bad as the status of this other check.
func (t *task) ownVerdict() verdict {
	v := verdict{
		status: t.machine.Status(), cause: t.machine.Cause(),
		reason: t.machine.Reason(), firstFailure: t.machine.FirstFailure(),
	}
	by := t.blocker()
	if by == nil {
		return v
	}
	if s := by.machine.Status(); s.WorseThan(v.status) {
		v.status = s
	}
	v.cause, v.reason = health.CauseBlocked, "blocked by "+by.name
	v.firstFailure = earlier(v.firstFailure, by.machine.FirstFailure())
	return v
}

// effect returns the verdict of the check as it affects the services of the check. If OnFail
// is Degrade, NOT_SERVING becomes DEGRADED.
func (t *task) effect() verdict {
	v := t.ownVerdict()
	if t.rules.onFail == Degrade && v.status == health.NotServing {
		v.status = health.Degraded
	}
	return v
}

// state returns the state of the check in the form in which the server publishes it.
func (t *task) state() health.CheckState {
	v := t.ownVerdict()
	state := health.CheckState{
		Name: t.name, Status: v.status, Cause: v.cause, Reason: v.reason,
		LastRun: timeOf(t.stats.lastRun), ResponseTime: t.took, Passes: t.machine.Passes(), Fails: t.machine.Fails(),
		Runs: t.stats.runs(), Failures: t.stats.failures(),
	}
	if value := t.extra().value; value != nil {
		state.HasValue, state.Value, state.Unit = true, value.value, value.unit
	}
	return state
}

// CheckInfo describes a check for the program that runs it. It has more fields than the
// CheckState that the server publishes.
type CheckInfo struct {
	health.CheckState
	Kind Kind
	// LastSuccess is the end of the last run that passed or warned. It is zero if no run
	// has passed or warned.
	LastSuccess time.Time
	// Overdue reports that a run has not returned in time and still runs.
	Overdue bool
	// BreakerOpen reports that BreakAfter runs or more failed in a row, so that the time
	// between runs grows.
	BreakerOpen bool
	// Results counts the runs since the start of the server by result.
	Results [NumResults]uint64
	// Durations counts the runs since the start of the server by duration. Entry i counts
	// the runs that took at most DurationBounds[i] and more than DurationBounds[i-1]. The
	// last entry counts the runs that took longer than all bounds.
	Durations [len(DurationBounds) + 1]uint64
	// Took is the sum of all durations.
	Took time.Duration
}

func (t *task) info() CheckInfo {
	info := CheckInfo{
		CheckState: t.state(), Kind: t.rules.kind, LastSuccess: timeOf(t.stats.lastSuccess),
		Overdue: t.phase == stuck, BreakerOpen: t.breakerOpen(),
		Durations: t.stats.durations(), Took: t.stats.took,
	}
	for i, n := range t.stats.results {
		info.Results[i] = uint64(n)
	}
	return info
}

// pastRuns returns the last runs of the check, the oldest first.
func (t *task) pastRuns() []PastRun { return t.history.all(t.stats.runs()) }

// waitHeap implements heap.Interface for tasks that wait for a worker. The task with the
// highest priority is first. Of equal priorities, the task that has waited longest is
// first.
type waitHeap []*task

func (h waitHeap) Len() int      { return len(h) }
func (h waitHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h waitHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	switch {
	case a.rules.priority != b.rules.priority:
		return a.rules.priority > b.rules.priority
	case a.next != b.next:
		return a.next < b.next
	}
	return a.seq < b.seq
}

func (h *waitHeap) Push(x any) { *h = append(*h, x.(*task)) }

func (h *waitHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = withoutPeak(old[:len(old)-1])
	return last
}
