package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/internal/logs"
)

// beatEvery is the time between two heartbeats of the feed.
const beatEvery = time.Second

// Run runs the checks until ctx ends. At first it runs all checks without an InitialDelay.
// After that it runs each check at its own interval. When ctx ends, the status becomes
// DRAINING if Drain was not called before, because the server stops updating the status.
//
// Run returns nil when all checks have returned. It returns ErrStuck with the names of the
// checks that have not returned in time. Run returns at once with ErrRanTwice if it was
// called before. It also returns at once if an entry of Config.Services matches no check, or
// if no check affects the status of this service (see Service.Checks). The error
// names all such entries. Run logs every error: ErrStuck at the level WARN, and any other error
// at the level ERROR.
func (s *Server) Run(ctx context.Context) error {
	err := s.run(ctx)
	s.logRunError(err)
	s.logs.Flush(logs.FlushTime)
	return err
}

func (s *Server) run(ctx context.Context) error {
	if err := s.validateServices(); err != nil {
		s.missingRun.refused(err)
		return fmt.Errorf("server.Config: %w", err)
	}
	stopHook := startHook(s.cfg.OnTransition, s.Feed(), s.cfg.Logger)
	if !s.pipeline.start() {
		stopHook()
		return ErrRanTwice
	}
	s.runScheduler(ctx)
	left := s.pipeline.stop()
	stopHook()
	overdue := s.pipeline.stuck()
	return errors.Join(overdue, stuckError(append(waitRuns(left), s.workers.waitBackground()...)))
}

// runScheduler calls pipeline.step whenever a check is due, until ctx ends. It also sends
// the heartbeats of the feed.
func (s *Server) runScheduler(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	beat := time.Now().Add(beatEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.pipeline.wake:
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(beat) {
			s.Feed().Beat()
			beat = now.Add(beatEvery)
		}
		next, callWorker := s.pipeline.step(now, beat)
		if callWorker {
			s.workers.start(ctx)
		}
		timer.Reset(time.Until(next))
	}
}

// validateServices returns an error that names each check name and tag in Config.Services
// that matches no check. It also names each service whose status no selected check can affect.
func (s *Server) validateServices() error {
	var f fieldErrors
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	tags := s.pipeline.checks.tags()
	for i := range s.cfg.Services {
		field, before := fmt.Sprintf("Services[%d]", i), len(f.Errors)
		for j, name := range s.cfg.Services[i].Checks {
			if s.pipeline.checks.tasks[name] == nil {
				f.Addf(fmt.Sprintf("%s.Checks[%d]", field, j), "there is no check %q", name)
			}
		}
		for j, tag := range s.cfg.Services[i].Tags {
			if !tags[tag] {
				f.Addf(fmt.Sprintf("%s.Tags[%d]", field, j), "no check has the tag %q", tag)
			}
		}
		if b := s.pipeline.judgement.services[firstConfigured+i]; len(f.Errors) == before && !b.canCount() {
			f.Addf(field, "is %q of kind %v, and none of its %d checks counts for it: %s; allowed: at least one %s",
				b.id.Service, b.kind, len(b.members), b.whyNoneCounts(), countingChecks[b.kind])
		}
	}
	return f.Join()
}

// logRunError logs the error that Run returns, unless it is nil.
func (s *Server) logRunError(err error) {
	args := []any{"service", s.cfg.Service, "error", err}
	switch {
	case err == nil:
	case errors.Is(err, ErrRanTwice):
		s.cfg.Logger.Error("Run was called again, which does nothing; allowed: once", args...)
	case errors.Is(err, ErrStuck):
		s.cfg.Logger.Warn("Run has ended, but some checks still run", args...)
	default:
		s.cfg.Logger.Error("Run has ended and runs no checks; correct the configuration", args...)
	}
}

// runWithin is the time after the first request within which the program must call Run.
// Otherwise the server reports an error.
const runWithin = 10 * time.Second

// Texts that say why no check runs. Every caller may see them.
const (
	runNotCalled = "no check runs: Run was not called"
	runRefused   = "no check runs: Run has refused the configuration"
)

// missingRun reports that the server has checks and receives requests, although the program
// has not called Run. The report is an error in the log and a reason of the status.
type missingRun struct {
	pipeline *pipeline
	// planned is true after a request has planned a call of reportMissing. If the server has
	// no checks at the time of this call, reportMissing sets planned to false.
	planned atomic.Bool
}

// requested must be called for each request. The first call starts a timer that calls the
// method reportMissing 10 s later (the constant runWithin).
func (m *missingRun) requested() {
	if !m.planned.Load() && !m.planned.Swap(true) {
		time.AfterFunc(runWithin, m.reportMissing)
	}
}

// reportMissing is called 10 s after a request (the constant runWithin). If the server has
// checks, but Run was not called, reportMissing reports an error. If the server has no checks
// yet, the next request plans another call of reportMissing.
func (m *missingRun) reportMissing() {
	missing := false
	p := m.pipeline
	p.update(func(time.Time) {
		j := &p.judgement
		missing = !j.started && !j.leaving && j.noRunNote == "" && len(p.checks.tasks) > 0
		if missing {
			j.noRunNote = runNotCalled
			j.markAll()
		} else if !j.started {
			m.planned.Store(false)
		}
	})
	if missing {
		p.logger.Error(runNotCalled+"; the status stays STARTING; call it once, in a goroutine of its own",
			"service", p.service)
	}
}

// refused is called if Run has refused the configuration. It puts this fact and the error of
// Run into the reason of the status.
func (m *missingRun) refused(err error) {
	p := m.pipeline
	p.update(func(time.Time) {
		if !p.judgement.started {
			p.judgement.noRunNote = runRefused + ": " + err.Error()
			p.judgement.markAll()
		}
	})
}

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
	// f may still return an error within 50 ms (the constant grace). That error may say more
	// than the error of ctx.
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

// Stop drains the server (see Drain) and then stops g gracefully. Drain and the graceful stop
// together take at most the timeout. Stop keeps a tenth of the timeout, at most 1 s, for the
// graceful stop, so that watchers receive the end of their streams. When the timeout ends, Stop
// stops g at once, which cuts calls off. In this case the error of Stop says that calls were cut off.
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
