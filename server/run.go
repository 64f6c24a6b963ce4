package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/machine"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// grace is the time after the timeout of a run in which the check can still return. In this
// time a check that honours its context can report what it was waiting for.
const grace = 50 * time.Millisecond

// run is one execution of a check. It is also the context of the check.
type run struct {
	task   *task
	name   string                      // name of the check
	call   func(context.Context) error // Check.Run
	parent context.Context             // context of Server.Run
	began  time.Time
	end    time.Time // deadline of the context: began plus the timeout of the check
	// startBackground is the function that Background calls. It is nil until the worker
	// calls the check.
	startBackground func(*run, backgroundFunc)

	// mu guards ctx, cancel, value and closed.
	mu     sync.Mutex
	ctx    context.Context    // context with a timer; nil: the check has not used it yet
	cancel context.CancelFunc // cancels ctx; nil if ctx is nil or canceled
	// value is the last value that the check has passed to Observe; nil: none. After closed
	// is set, value does not change.
	value  *reading
	closed bool

	// The lock of the pipeline guards the fields below.
	overdue time.Time     // time when the server stops waiting for the run
	excused bool          // true if a timeout does not count, because the scheduler was late
	again   bool          // true if the check must run again soon after this run
	done    chan struct{} // closed when the run has ended; nil: nothing waits for the end
}

// backgroundFunc is the argument of Background.
type backgroundFunc = func(life context.Context, again func())

// newRun returns a run of t that begins now. parent is the context of Server.Run.
func newRun(parent context.Context, t *task, now time.Time) *run {
	end := now.Add(t.rules.timeout)
	return &run{
		task: t, name: t.name, call: t.run, parent: parent,
		began: now, end: end, overdue: end.Add(grace),
	}
}

// execute calls the check and returns the outcome. A panic of the check is a failure. So is
// a panic in a method of the error that the check has returned.
func (r *run) execute() (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			o = failedOutcome(health.CausePanic, fmt.Sprintf("panic: %v", v))
			o.stack = string(debug.Stack())
		}
		o.value = r.closeValue()
		o.void = r.contextError() == context.Canceled
	}()
	return r.outcomeOf(r.call(r))
}

// outcomeOf returns the outcome of r after the check has returned err.
func (r *run) outcomeOf(err error) outcome {
	evidence := machine.EvidenceOf(err)
	if evidence == machine.Pass {
		return outcome{evidence: machine.Pass}
	}
	reason := health.Describe(err)
	switch {
	case r.contextError() == context.DeadlineExceeded:
		return failedOutcome(health.CauseTimeout, reason)
	case evidence == machine.Warn:
		return outcome{evidence: machine.Warn, reason: wire.Clean(reason)}
	}
	return failedOutcome(health.CauseFailed, reason)
}

// stillRunning returns the observation for a run that cannot start, because the earlier run
// r of the same check has not returned.
func (r *run) stillRunning(now time.Time) machine.Observation {
	return machine.Observation{
		At: now, Evidence: machine.Fail, Cause: health.CauseTimeout,
		Reason: fmt.Sprintf("a run has not returned for %v", now.Sub(r.began).Round(time.Second)),
	}
}

// runKey is the key under which the context of a check has its run.
type runKey struct{}

// Observe records a value that a check has measured, such as 42 "connections". Callers see
// the last value of the last run. ctx is the context of the run. Observe cuts the unit to
// 32 bytes. Every caller may see it. If ctx belongs to no run, or the run has ended, Observe
// does nothing. Several goroutines may call Observe at the same time.
func Observe(ctx context.Context, number float64, unit string) {
	r, ok := ctx.Value(runKey{}).(*run)
	if !ok {
		return
	}
	unit = wire.CleanTo(unit, wire.MaxUnit)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.value = &reading{number, unit}
	}
}

// Background calls f in a goroutine that can outlive the run. A check uses Background to
// receive notifications, for example from an open stream, instead of polling.
//
// ctx is the context of the run. The context life ends when the check is removed or when
// the server's Run ends. Run waits for f as it waits for a run. The function again makes
// the check run as soon as MinEvery allows. Any goroutine may call again at any time.
//
// A check has at most one f at a time. While f runs, Background does nothing. It also does
// nothing if ctx belongs to no run. Therefore a check calls Background in each run, and f
// returns when its stream ends. The server logs a panic in f.
func Background(ctx context.Context, f func(life context.Context, again func())) {
	if r, ok := ctx.Value(runKey{}).(*run); ok && r.startBackground != nil {
		r.startBackground(r, f)
	}
}

// closeValue returns the last observed value, or nil. After that, Observe has no effect on
// this run.
func (r *run) closeValue() *reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.value
}

// A context with a timer uses more memory than the rest of a run. Therefore a run
// creates one only when the check uses it, which most checks do not.
var _ context.Context = (*run)(nil)

// canceled is the context of each run that was cancelled before its check used the context.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Deadline implements context.Context.
func (r *run) Deadline() (time.Time, bool) {
	if d, ok := r.parent.Deadline(); ok && d.Before(r.end) {
		return d, true
	}
	return r.end, true
}

// Done implements context.Context.
func (r *run) Done() <-chan struct{} { return r.context().Done() }

// Err implements context.Context.
func (r *run) Err() error { return r.context().Err() }

// Value implements context.Context. For runKey it returns the run.
func (r *run) Value(key any) any {
	if key == (runKey{}) {
		return r
	}
	if v := r.context().Value(key); v != nil {
		return v
	}
	return r.parent.Value(key)
}

// context returns the context with a timer and creates it on the first call.
func (r *run) context() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		r.ctx, r.cancel = context.WithDeadline(r.parent, r.end)
	}
	return r.ctx
}

// stop cancels the context of the run. It may be called more than once.
func (r *run) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ctx == nil:
		r.ctx = canceled
	case r.cancel != nil:
		r.cancel()
	}
}

// contextError returns the same as Err, but creates no context.
func (r *run) contextError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ctx != nil:
		return r.ctx.Err()
	case r.parent.Err() != nil:
		return r.parent.Err()
	case !time.Now().Before(r.end):
		return context.DeadlineExceeded
	}
	return nil
}
