package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// drain is the state that all calls of Server.Drain share. Only the first call drains. The
// other calls wait for the first one.
type drain struct {
	once  sync.Once
	begun chan struct{} // closed when the first call of Drain begins
	done  chan struct{} // closed when the first call of Drain ends
	err   error         // result of all calls of Drain; valid after done is closed
}

func newDrain() drain {
	return drain{begun: make(chan struct{}), done: make(chan struct{})}
}

// first returns true to its first caller and false to all later callers.
func (d *drain) first() (first bool) {
	d.once.Do(func() {
		first = true
		close(d.begun)
	})
	return first
}

// wait waits until the first call of Drain has ended, or until ctx ends.
func (d *drain) wait(ctx context.Context) error {
	select {
	case <-d.done:
		return d.err
	default:
	}
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Drain removes the service from traffic, in these steps:
//
//  1. It publishes DRAINING, which stock clients read as NOT_SERVING.
//  2. It calls the OnDrain functions one after the other.
//  3. It waits for Config.Propagation.
//  4. It ends all Watch streams with UNAVAILABLE and refuses new ones.
//  5. It waits until each stream has sent the last status and has ended. It does not wait
//     for a client that has read nothing for a second.
//
// Names of kind Liveness and Startup keep their status. After Drain,
// grpc.Server.GracefulStop waits only for the service's own calls.
//
// Call GracefulStop or http.Server.Shutdown after Drain, because they send the data that is
// still buffered. grpc.Server.Stop, http.Server.Close and the end of the process may lose
// buffered data. Server.Stop calls Drain and then GracefulStop.
//
// If ctx ends, Drain still takes the remaining steps, but without waiting. Drain does not
// wait for an OnDrain function that ignores ctx. The error joins the errors of the OnDrain
// functions and, if ctx has shortened a step, the error of ctx. It includes ErrStuck with
// the names of the checks that have not returned. Each further call waits for the first
// call and returns the same error. If its own ctx ends first, it returns the error of ctx.
func (s *Server) Drain(ctx context.Context) error {
	s.pipeline.leave()
	if s.drain.first() {
		err := errors.Join(callOnDrain(ctx, s.cfg.OnDrain), waitPropagation(ctx, s.cfg.Propagation), s.pipeline.stuck())
		s.handlers.End()
		s.drain.err = errors.Join(err, s.handlers.WaitWatchers(ctx))
		close(s.drain.done)
	}
	return s.drain.wait(ctx)
}

func callOnDrain(ctx context.Context, all []func(context.Context) error) error {
	var errs []error
	for i, f := range all {
		if err := callUntil(ctx, f); err != nil {
			errs = append(errs, fmt.Errorf("OnDrain[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// callUntil calls f and waits until f returns, or until 50 ms after the end of ctx. A panic
// of f becomes an error, so that Drain can take its next steps.
func callUntil(ctx context.Context, f func(context.Context) error) error {
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
	}
	// f may return its own error within the time grace. That error may say more than ctx.
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("has not returned: %w", context.Cause(ctx))
	}
}

func waitPropagation(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("propagation was cut short: %w", context.Cause(ctx))
	}
}

// Stopper is the part of grpc.Server that Stop uses.
type Stopper interface {
	GracefulStop()
	Stop()
}

// Stop drains the server (see Drain) and then stops g gracefully. Both together take at
// most the timeout. Stop keeps a tenth of the timeout, at most 1 s, for the graceful stop,
// so that watchers receive the end of their streams. When the timeout ends, Stop stops g at
// once. This cuts calls off, and the error says so.
//
// If g serves through its ServeHTTP, do not use Stop, because gRPC would cut such calls
// off. Call Drain and then Shutdown of the http.Server.
func (s *Server) Stop(g Stopper, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	draining, cancelDrain := context.WithTimeout(ctx, timeout-min(time.Second, timeout/10))
	defer cancelDrain()
	err := s.Drain(draining)
	if stopGracefully(ctx, g) {
		return err
	}
	return errors.Join(err, fmt.Errorf("calls were cut off after %v", timeout))
}

// stopGracefully stops g gracefully. If ctx ends before that, it stops g at once. It
// reports whether the stop was graceful.
func stopGracefully(ctx context.Context, g Stopper) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.GracefulStop()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	g.Stop()
	<-done
	return false
}
