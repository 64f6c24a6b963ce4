package server

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// update changes something under the lock and publishes what has come of it.
func (s *Server) update(f func(now time.Time)) {
	s.mu.Lock()
	now := time.Now()
	f(now)
	changes := s.refresh(now)
	s.mu.Unlock()
	s.log(changes)
}

// News of checks that change no status are published at once, but at most so
// often: thousands of first runs make some dozens of publications.
const (
	newsWindow = 10 * time.Millisecond
	maxNews    = 16 // in a window
)

// refreshSoon publishes, or plans when to: a status that changes at once, what
// is only news of a check not too often. It is early when the scheduler must
// come before it asked to.
func (s *Server) refreshSoon(now time.Time) (changes []health.Change, early bool) {
	due := s.windowFrom.Add(newsWindow)
	if !now.Before(due) {
		s.windowFrom, s.news = now, 0
	}
	planned := s.newsDue
	switch {
	case s.touched || s.statusChanged() || s.news < maxNews:
		changes = s.refresh(now)
	case slices.ContainsFunc(s.boards, func(b *board) bool { return b.changed }):
		s.newsDue = due
	}
	return changes, s.schedule.early() || planned.IsZero() && !s.newsDue.IsZero()
}

// statusChanged reports whether some status is not what is published.
func (s *Server) statusChanged() bool {
	s.recountDirty()
	for _, b := range s.boards {
		if !b.changed || s.leaving || s.down {
			continue
		}
		if worst, found := b.worst(&s.manual, &b.manual); found && worst != b.published.Status {
			return true
		}
	}
	return false
}

func (s *Server) recountDirty() {
	if len(s.schedule.dirty) > 0 {
		s.pages.outdated()
	}
	for _, t := range s.schedule.dirty {
		t.dirty = false
		s.recount(t)
	}
	clear(s.schedule.dirty)
	s.schedule.dirty = s.schedule.dirty[:0]
}

// refresh publishes if there is anything new. A text alone is news only where
// it was set by hand; that of a check rides on the next change.
func (s *Server) refresh(now time.Time) []health.Change {
	s.recountDirty()
	var changes []health.Change
	for _, b := range s.boards {
		if !b.changed && !s.touched {
			continue
		}
		v, p := s.judge(b), &b.published
		if !b.changed && v.status == p.Status && v.cause == p.Cause && v.reason == p.Reason {
			continue
		}
		changes = append(changes, s.change(b, v, now))
	}
	if s.touched || len(changes) > 0 {
		s.pages.outdated()
	}
	s.touched, s.newsDue = false, time.Time{}
	if len(changes) > 0 {
		s.news++
	}
	// The feed's only publisher is who holds the lock.
	s.feed.Publish(changes)
	return changes
}

// change makes v what is published of b.
func (s *Server) change(b *board, v verdict, now time.Time) health.Change {
	c := health.Change{Epoch: s.feed.Epoch(), From: b.published.Status, At: now}
	since := b.published.Since
	if v.status != b.published.Status || since.IsZero() {
		since = now
	}
	s.revision++
	c.State = health.State{
		ID: b.id, Status: v.status, Cause: v.cause, Reason: v.reason,
		Since: since, FirstFailure: v.firstFailure,
		Checks: b.states(&s.bad), Metrics: s.schedule.totals.metrics(),
		Revision: s.revision,
	}
	b.published, b.changed = c.State, false
	return c
}

// log writes a line per transition. No lock is held.
func (s *Server) log(changes []health.Change) {
	for i := range changes {
		s.logOne(&changes[i])
	}
}

func (s *Server) logOne(c *health.Change) {
	if c.From == c.Status {
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
