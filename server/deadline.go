package server

import (
	"context"
	"time"
)

// A run is the context of its check. One of package context, with its timer, is
// made when somebody waits for the end: most checks are over before they would,
// and it weighs more than all else about a run.
var _ context.Context = (*run)(nil)

// ended is the context of runs that are over and that nobody waited for.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Deadline returns when the run's time is over.
func (r *run) Deadline() (time.Time, bool) {
	if d, ok := r.life.Deadline(); ok && d.Before(r.end) {
		return d, true
	}
	return r.end, true
}

// Done is closed when the run's time is over, or the check is removed.
func (r *run) Done() <-chan struct{} { return r.waitable().Done() }

// Err returns why Done is closed, nil if it is not.
func (r *run) Err() error { return r.waitable().Err() }

// Value returns what Run's context has, and the run.
func (r *run) Value(key any) any {
	if key == (runKey{}) {
		return r
	}
	if v := r.waitable().Value(key); v != nil {
		return v
	}
	return r.life.Value(key)
}

// waitable returns the context everything is asked of.
func (r *run) waitable() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		r.ctx, r.stop = context.WithDeadline(r.life, r.end)
	}
	return r.ctx
}

// cancel ends the context. It may be called more than once.
func (r *run) cancel() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ctx == nil:
		r.ctx = ended
	case r.stop != nil:
		r.stop()
	}
}

// why returns what Err would, and makes nothing for it.
func (r *run) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ctx != nil:
		return r.ctx.Err()
	case r.life.Err() != nil:
		return r.life.Err()
	case !time.Now().Before(r.end):
		return context.DeadlineExceeded
	}
	return nil
}
