package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

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

// start starts a worker. It is called whenever a method of the pipeline returns callWorker.
// ctx is the context of Server.Run.
func (w *workers) start(ctx context.Context) {
	go func() {
		r, call := w.pipeline.beginFirst(ctx)
		w.executeAll(ctx, r, call)
	}()
}

// executeAll executes r, and then further runs until the pipeline has no other run.
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
	// This outcome counts if the check calls runtime.Goexit.
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
	timeout time.Duration      // timeout of the check; Run waits so long for the function
	cancel  context.CancelFunc // cancels the context life of the function
	done    chan struct{}      // closed when the function has returned
}

// startInBackground implements Background for the check of r.
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
	// If both channels were ready, select may have chosen the timer.
	select {
	case <-done:
		return true
	default:
		return false
	}
}
