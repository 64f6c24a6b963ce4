package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// update changes something under the lock and publishes what has come of it.
func (s *Server) update(f func(now time.Time)) {
	s.mu.Lock()
	now := time.Now()
	f(now)
	c := s.refresh(now)
	s.mu.Unlock()
	s.log(c)
}

// refresh publishes if there is anything new. A text alone is news only where
// it was set by hand; that of a check rides on the next change.
func (s *Server) refresh(now time.Time) *health.Change {
	if !s.schedule.changed && !s.touched {
		return nil
	}
	s.touched = false
	v := s.judge()
	p := &s.published
	if !s.schedule.changed && v.status == p.Status && v.cause == p.Cause && v.reason == p.Reason {
		return nil
	}
	return s.publish(now, v)
}

// publish hands a new state to the feed, which is the server's only publisher
// because the lock is held.
func (s *Server) publish(now time.Time, v verdict) *health.Change {
	c := health.Change{Epoch: s.feed.Epoch(), From: s.published.Status, At: now}
	since := s.published.Since
	if v.status != s.published.Status || since.IsZero() {
		since = now
	}
	c.State = health.State{
		ID: s.self, Status: v.status, Cause: v.cause, Reason: v.reason,
		Since: since, FirstFailure: v.firstFailure,
		Checks: s.states(), Metrics: s.schedule.totals.metrics(),
		Revision: s.published.Revision + 1,
	}
	s.schedule.changed = false
	s.published = c.State
	s.feed.Publish([]health.Change{c})
	return &c
}

// log writes a line per transition. No lock is held.
func (s *Server) log(c *health.Change) {
	if c == nil || c.From == c.Status {
		return
	}
	level := slog.LevelInfo
	if c.Status == health.Degraded || c.Status == health.NotServing {
		level = slog.LevelWarn
	}
	s.cfg.Logger.LogAttrs(context.Background(), level, "health changed",
		slog.String("service", c.ID.Service), slog.String("from", c.From.String()), slog.String("to", c.Status.String()),
		slog.String("cause", c.Cause.String()), slog.String("reason", c.Reason))
}
