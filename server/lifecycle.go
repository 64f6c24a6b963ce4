package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
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
// called before. It also returns at once with an error that names all entries of
// Config.Services that match no check, or for which no check counts. Run logs every error,
// ErrStuck as WARN and the others as ERROR.
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

// validateServices returns an error that names all entries of Config.Services that match
// no check, and all services for which no check counts.
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

// hook calls Config.OnTransition for each change of a status. It has its own reader of the
// feed, so that nothing waits for Config.OnTransition. While a call blocks, the reader
// keeps only the latest change of each name.
type hook struct {
	call   func(health.Change)
	logger *slog.Logger
	reader *feed.Reader
	known  map[health.ID]health.Status // last status that was read from the feed
}

// startHook starts a goroutine that calls f for each later change of a status. stop ends the
// goroutine, and waits at most 50 ms for a call of f that has not returned.
func startHook(f func(health.Change), from *feed.Feed, logger *slog.Logger) (stop func()) {
	if f == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	h := &hook{call: f, logger: logger, reader: from.NewReader(feed.Interest{}), known: map[health.ID]health.Status{}}
	// The first call of Next returns the present statuses and does not wait.
	if step, err := h.reader.Next(ctx); err == nil {
		for e := range step.Entries {
			h.known[e.ID] = e.Status
		}
	}
	go func() {
		defer close(done)
		h.read(ctx)
	}()
	return func() {
		cancel()
		waitUntil(done, time.Now().Add(grace))
	}
}

// read reads the feed and calls the hook for each change of a status, until ctx ends.
func (h *hook) read(ctx context.Context) {
	for {
		step, err := h.reader.Next(ctx)
		if err != nil {
			return
		}
		for e := range step.Entries {
			if e.ID == (health.ID{}) {
				continue // "" has the status of Config.Service
			}
			from, known := h.known[e.ID]
			h.known[e.ID] = e.Status
			if known && from != e.Status {
				c := e.Change
				c.From = from
				h.callOne(c)
			}
		}
	}
}

func (h *hook) callOne(c health.Change) {
	defer func() {
		if v := recover(); v != nil {
			h.logger.Error("OnTransition panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	h.call(c)
}

// runWithin is the time from the first request to the error that Run was not called.
const runWithin = 10 * time.Second

// Texts that say why no check runs. Every caller may see them.
const (
	runNotCalled = "no check runs: Run was not called"
	runRefused   = "no check runs: Run has refused the configuration"
)

// missingRun reports in the status and in the log that the server has checks and receives
// requests, but that Run was not called.
type missingRun struct {
	pipeline *pipeline
	// waits is set by the first request. look clears it if the server has no checks yet.
	waits atomic.Bool
}

// requested is called for each request. The first call makes look run after runWithin.
func (m *missingRun) requested() {
	if !m.waits.Load() && !m.waits.Swap(true) {
		time.AfterFunc(runWithin, m.look)
	}
}

// look is called runWithin after a request. If the server has checks, but Run was not
// called, look reports this. If the server has no checks yet, the next request makes look
// run again.
func (m *missingRun) look() {
	missing := false
	p := m.pipeline
	p.update(func(time.Time) {
		j := &p.judgement
		missing = !j.started && !j.leaving && j.noRunNote == "" && len(p.checks.tasks) > 0
		if missing {
			j.noRunNote = runNotCalled
			j.markAll()
		} else if !j.started {
			m.waits.Store(false)
		}
	})
	if missing {
		p.logger.Error(runNotCalled+"; the status stays STARTING; call it once, in a goroutine of its own",
			"service", p.service)
	}
}

// refused reports that Run has refused the configuration.
func (m *missingRun) refused(err error) {
	p := m.pipeline
	p.update(func(time.Time) {
		if !p.judgement.started {
			p.judgement.noRunNote = runRefused + ": " + err.Error()
			p.judgement.markAll()
		}
	})
}
