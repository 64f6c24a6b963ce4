package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// run is one run of a check, and its context.
type run struct {
	task   *task
	name   string // the check's, which Tune does not change
	call   func(context.Context) error
	server *Server         // set while the check runs
	life   context.Context // Run's
	began  time.Time
	end    time.Time // of the check's time

	// mu guards what follows.
	mu    sync.Mutex
	ctx   context.Context // nil: nobody has waited for its end
	stop  context.CancelFunc
	meter meter

	// The server's lock guards what follows.
	overdue time.Time     // when waiting for it ends
	excused bool          // the scheduler was late while it ran
	again   bool          // it is to run again soon
	done    chan struct{} // closed at its end, where somebody waits
}

// result is what a run came to.
type result struct {
	evidence health.Evidence
	cause    health.Cause
	reason   string
	value    *reading
	stack    string // of a panic
	void     bool   // Run or Remove ended its context: it says nothing
}

func newRun(ctx context.Context, t *task, now time.Time) *run {
	end := now.Add(t.rules.timeout)
	return &run{
		task: t, name: t.name, call: t.run, life: ctx,
		began: now, end: end, overdue: end.Add(grace),
	}
}

// runKey is that of a run in its context.
type runKey struct{}

// do runs the check and judges what it returns. A panic is a failure.
func (r *run) do() (res result) {
	defer func() {
		if v := recover(); v != nil {
			res = failed(health.CausePanic, fmt.Sprintf("panic: %v", v))
			res.stack = string(debug.Stack())
		}
		res.value = r.observed()
		res.void = r.why() == context.Canceled
	}()
	return r.judge(r.call(r))
}

// judge is part of the run: an error's own methods may panic too.
func (r *run) judge(err error) result {
	evidence := health.EvidenceOf(err)
	if evidence == health.Pass {
		return result{evidence: health.Pass}
	}
	reason := health.Describe(err)
	switch {
	case r.why() == context.DeadlineExceeded:
		return failed(health.CauseTimeout, reason)
	case evidence == health.Warn:
		return result{evidence: health.Warn, reason: wire.Clean(reason)}
	}
	return failed(health.CauseFailed, reason)
}

func failed(cause health.Cause, reason string) result {
	return result{evidence: health.Fail, cause: cause, reason: wire.Clean(reason)}
}

// stillRunning is the evidence of a run that is missed because this one has
// not returned.
func (r *run) stillRunning(now time.Time) health.Observation {
	return health.Observation{
		At: now, Evidence: health.Fail, Cause: health.CauseTimeout,
		Reason: fmt.Sprintf("a run has not returned for %v", now.Sub(r.began).Round(time.Second)),
	}
}

// reading is a value a check has observed.
type reading struct {
	value float64
	unit  string
}

// meter collects what one run observes, until the run is over.
type meter struct {
	last *reading // nil: nothing
	over bool
}

// Observe tells what a check has measured, such as 42 "connections"; the last
// one of a run is shown with the check. ctx is the one Run got. A unit has at
// most 32 bytes, and everybody may see it. Outside a run it does nothing.
func Observe(ctx context.Context, number float64, unit string) {
	r, ok := ctx.Value(runKey{}).(*run)
	if !ok {
		return
	}
	unit = wire.CleanTo(unit, wire.MaxUnit)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.meter.over {
		r.meter.last = &reading{number, unit}
	}
}

// observed ends the run's observing.
func (r *run) observed() *reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meter.over = true
	return r.meter.last
}
