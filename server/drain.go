package server

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// drainOnce makes many Drains one.
type drainOnce struct {
	begun bool // the server's lock guards it
	done  chan struct{}
	err   error // readable when done is closed
}

// Drain takes the service out of traffic: it publishes DRAINING, which stock
// clients read as NOT_SERVING; calls the OnDrain functions one after the other;
// waits Propagation; ends all Watch streams with UNAVAILABLE and refuses new
// ones. After it, grpc.Server.GracefulStop returns as soon as the service's own
// calls have ended.
//
// All steps are taken even if ctx ends: what is left is then not waited for. An
// OnDrain function that ignores ctx is left behind. The error joins those of
// the OnDrain functions, ctx's if it cut anything short, and ErrStuck with the
// checks that have not returned. Every further
// Drain waits for the first, or for its own ctx, and returns the same.
func (s *Server) Drain(ctx context.Context) error {
	if s.firstDrain() {
		s.drained.err = errors.Join(s.onDrain(ctx), s.propagate(ctx), s.stuck())
		s.handlers.End()
		close(s.drained.done)
	}
	select {
	case <-s.drained.done:
		return s.drained.err
	default:
	}
	select {
	case <-s.drained.done:
		return s.drained.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// firstDrain publishes DRAINING and reports whether nobody has begun before.
func (s *Server) firstDrain() (first bool) {
	s.update(func(time.Time) {
		first = !s.drained.begun
		s.drained.begun, s.leaving, s.touched = true, true, true
	})
	return first
}

func (s *Server) onDrain(ctx context.Context) error {
	var errs []error
	for i, f := range s.cfg.OnDrain {
		if err := bounded(ctx, f); err != nil {
			errs = append(errs, fmt.Errorf("OnDrain[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// bounded calls f and waits for it, or for ctx. A panic is an error: the steps
// after this one must still be taken.
func bounded(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("ended its goroutine")
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
			}
			done <- err
		}()
		err = f(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return finished(done, ctx)
	}
}

// finished prefers what f returned because ctx ended.
func finished(done <-chan error, ctx context.Context) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("has not returned: %w", context.Cause(ctx))
	}
}

func (s *Server) propagate(ctx context.Context) error {
	if s.cfg.Propagation == 0 {
		return nil
	}
	timer := time.NewTimer(s.cfg.Propagation)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("propagation was cut short: %w", context.Cause(ctx))
	}
}
