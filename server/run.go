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
// time a check that obeys its context can return an error that says what has taken so long.
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
	rerun   bool          // true if the check must run again soon after this run
	done    chan struct{} // closed when the run has ended; nil: nothing waits for the end
}

// backgroundFunc is the type of a function that Background starts.
type backgroundFunc = func(life context.Context, rerun func())

// newRun returns a run of t that begins now. parent is the context of Server.Run.
func newRun(parent context.Context, t *task, now time.Time) *run {
	end := now.Add(t.rules.timeout)
	return &run{
		task: t, name: t.name, call: t.run, parent: parent,
		began: now, end: end, overdue: end.Add(grace),
	}
}

// execute calls the check and returns the outcome. The outcome is a failure if the check
// panics, or if a method of the error that the check has returned panics.
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

// stillRunning returns a failure for the state machine of the check. It counts for the next run,
// which cannot start, because the run r has not returned.
func (r *run) stillRunning(now time.Time) machine.Observation {
	return machine.Observation{
		At: now, Evidence: machine.Fail, Cause: health.CauseTimeout,
		Reason: fmt.Sprintf("a run has not returned for %v", now.Sub(r.began).Round(time.Second)),
	}
}

// runKey is the key under which the context of a check has its run.
type runKey struct{}

// Observe records a value that a check has measured, such as 42 "connections". Every caller
// of the health services may see the last value of the last run, with its unit. ctx must be
// the context of the run. Observe cuts the unit to 32 bytes. If ctx belongs to no run, or if
// the run has ended, Observe does nothing. Several goroutines may call Observe at the same time.
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
// Server.Run ends. Server.Run waits for f as it waits for a run. The function rerun makes
// the check run as soon as MinEvery allows. Any goroutine may call rerun at any time.
//
// A check has at most one f at a time. While f runs, Background does nothing. It also does
// nothing if ctx belongs to no run. Therefore a check calls Background in each run, and f
// returns when its stream ends. The server logs a panic in f.
func Background(ctx context.Context, f func(life context.Context, rerun func())) {
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

// contextError returns the same error as Err, but does not create the context with a timer.
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

// workers are the goroutines that execute checks. A worker that begins a run starts
// another worker if more tasks wait and no other worker was just started. When its check
// returns, the worker executes the next check. So checks that block run in parallel, and
// checks that do not block share few goroutines. A worker that finds no task ends.
type workers struct {
	pipeline *pipeline
	// background is the set of functions that checks have started with Background and that
	// have not returned. The lock of the pipeline guards it.
	background map[*background]struct{}
	// startBackground is the method value w.startInBackground. To create it for each run
	// would allocate memory.
	startBackground func(*run, backgroundFunc)
}

func newWorkers(p *pipeline) *workers {
	w := &workers{pipeline: p, background: map[*background]struct{}{}}
	w.startBackground = w.startInBackground
	return w
}

// start starts a worker. It must be called whenever a method of the pipeline returns true as
// callWorker. ctx is the context of Server.Run.
func (w *workers) start(ctx context.Context) {
	go func() {
		r, call := w.pipeline.beginFirst(ctx)
		w.executeAll(ctx, r, call)
	}()
}

// executeAll executes r, and after that further runs until no run may begin. callWorker
// reports whether executeAll must start another worker.
func (w *workers) executeAll(ctx context.Context, r *run, callWorker bool) {
	for r != nil {
		if callWorker {
			w.start(ctx)
		}
		r, callWorker = w.execute(r)
	}
}

// execute executes the check of r and returns the next run of this worker, or nil. After a
// panic or runtime.Goexit in the check, the worker goes on with the next run.
func (w *workers) execute(r *run) (next *run, callWorker bool) {
	// This is the outcome if the check calls runtime.Goexit and so does not return.
	o, returned := failedOutcome(health.CausePanic, "the check ended its goroutine"), false
	defer func() {
		r.stop()
		next, callWorker = w.pipeline.finish(r, o)
		if !returned {
			go w.executeAll(r.parent, next, callWorker)
		}
	}()
	r.startBackground = w.startBackground
	o = r.execute()
	returned = true
	if o.stack != "" {
		w.pipeline.logger.Error("check panicked", "service", w.pipeline.service, "check", r.name, "reason", o.reason, "stack", o.stack)
	}
	return nil, false
}

// background is a function that a check has started with Background.
type background struct {
	task    *task
	name    string             // name of the check
	timeout time.Duration      // timeout of the check; Server.Run waits at most this long for the function
	cancel  context.CancelFunc // cancels the context life of the function
	done    chan struct{}      // closed when the function has returned
}

// startInBackground starts f in a goroutine, as described for Background, for the check of r.
func (w *workers) startInBackground(r *run, f backgroundFunc) {
	w.pipeline.mu.Lock()
	defer w.pipeline.mu.Unlock()
	t := r.task
	if t.extra().stopBackground != nil || t.removed || w.pipeline.schedule.closed {
		return
	}
	life, cancel := context.WithCancel(r.parent)
	b := &background{task: t, name: t.name, timeout: t.rules.timeout, cancel: cancel, done: make(chan struct{})}
	t.ownExtras().stopBackground = cancel
	w.background[b] = struct{}{}
	go w.runBackground(life, b, f)
}

func (w *workers) runBackground(life context.Context, b *background, f backgroundFunc) {
	defer func() {
		if v := recover(); v != nil {
			w.pipeline.logger.Error("background function of a check panicked", "service", w.pipeline.service, "check", b.name,
				"reason", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		b.cancel()
		w.pipeline.mu.Lock()
		b.task.extras.stopBackground = nil
		delete(w.background, b)
		w.pipeline.mu.Unlock()
		close(b.done)
	}()
	f(life, func() { w.runAgain(b.task) })
}

// runAgain makes the check of t run as soon as MinEvery allows.
func (w *workers) runAgain(t *task) {
	w.pipeline.mu.Lock()
	w.pipeline.schedule.runSoon(t, time.Now())
	w.pipeline.mu.Unlock()
	w.pipeline.wakeScheduler()
}

// waitRuns waits for runs whose contexts have ended. The value of each run in the map is
// the time until which waitRuns waits. It returns the names of the checks that have not
// returned.
func waitRuns(runs map[*run]time.Time) (stuck []string) {
	for r, overdue := range runs {
		if !waitUntil(r.done, overdue) {
			stuck = append(stuck, r.name)
		}
	}
	return stuck
}

// waitBackground waits for the background functions, whose contexts have ended. It
// returns the names of the checks whose function has not returned within the timeout of
// the check.
func (w *workers) waitBackground() (stuck []string) {
	w.pipeline.mu.Lock()
	var all []*background
	for b := range w.background {
		all = append(all, b)
	}
	w.pipeline.mu.Unlock()
	now := time.Now()
	for _, b := range all {
		if !waitUntil(b.done, now.Add(b.timeout)) {
			stuck = append(stuck, b.name)
		}
	}
	return stuck
}

// waitUntil waits for done until the deadline and reports whether done is closed.
func waitUntil(done <-chan struct{}, deadline time.Time) bool {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	}
	// If both channels are ready, the select above may choose the timer.
	select {
	case <-done:
		return true
	default:
		return false
	}
}
