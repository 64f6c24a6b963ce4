package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// publisher publishes the changed served services to the feed. The lock of the pipeline
// guards it.
//
// A changed status is published at once. All other changes are called news. After a time
// without news, newsBurst publications of news may follow each other without a pause. After
// these, news are published once per 200 ms (the constant newsEvery).
type publisher struct {
	feed      *feed.Feed // the publisher is its only writer
	judgement *judgement
	totals    *totals
	pages     pageVersions
	revision  uint64 // highest revision that was published

	// newsBudget limits how often news are published. News are all changes but a changed
	// status. Each publication of news sets newsBudget to its present value or to the present
	// time, whichever is later, plus newsEvery. News must wait while newsBudget is more than
	// (newsBurst-1)*newsEvery in the future.
	newsBudget time.Time
	newsDue    time.Time // time when the waiting news will be published; zero: no news wait
}

// newsEvery and newsBurst together allow at most 10 publications of news in one second. News
// are changes other than a changed status. A coordinator accepts 20 messages per second on a Watch.
const (
	newsEvery = 200 * time.Millisecond
	newsBurst = 5
)

// pageVersions has two counters. The HTTP handler renders a page again if the counter of the
// page has changed. Pages that show checks use the counter checks, and others use statuses.
type pageVersions struct{ statuses, checks atomic.Uint64 }

func (p *pageVersions) statusChanged() { p.statuses.Add(1); p.checks.Add(1) }
func (p *pageVersions) checkRan()      { p.checks.Add(1) }

// publishSoon publishes all changes at once if a status has changed or if atOnce is set.
// Otherwise the changes are news, which may wait. newsWait reports whether news began to wait
// in this call. In this case the scheduler must call publishSoon again at p.newsDue.
func (p *publisher) publishSoon(now time.Time, atOnce bool) (published []health.Change, newsWait bool) {
	due := p.newsBudget.Add(-(newsBurst - 1) * newsEvery)
	switch {
	case atOnce || p.statusChanged():
		published = p.publish(now)
	case !p.hasChanges():
	case !now.Before(due):
		if published = p.publish(now); len(published) > 0 {
			p.newsBudget = later(p.newsBudget, now).Add(newsEvery)
		}
	case p.newsDue.IsZero():
		p.newsDue, newsWait = due, true
	}
	return published, newsWait
}

func (p *publisher) hasChanges() bool {
	return slices.ContainsFunc(p.judgement.services, func(s *servedService) bool { return s.changes != 0 })
}

// statusChanged reports whether the status of a service differs from its published status.
func (p *publisher) statusChanged() bool {
	return slices.ContainsFunc(p.judgement.services, func(s *servedService) bool {
		if s.changes == 0 {
			return false
		}
		// grpc.health.v1 has two numbers for UNKNOWN: 0 and 3. The cause selects one of them.
		// Therefore a new cause of a status set by hand counts as a new status.
		newCause := s.changes&manualChanged != 0 && p.judgement.manualOf(s).cause != s.published.Cause
		return newCause || p.judgement.status(s) != s.published.Status || s.published.Since.IsZero()
	})
}

// publish publishes all services that have changed. If only the reason of a check is new, the
// service has not changed. The reason is published with the next change of the service.
func (p *publisher) publish(now time.Time) []health.Change {
	p.pages.statusChanged()
	var published []health.Change
	for _, s := range p.judgement.services {
		if s.changes == 0 {
			continue
		}
		v, old := p.judgement.verdict(s), &s.published
		same := v.status == old.Status && v.cause == old.Cause && v.reason == old.Reason
		if same && s.changes&checksChanged == 0 {
			s.changes = 0
			continue
		}
		// If "" is published together with Config.Service, both have the same revision.
		if s != p.judgement.nameless() || len(published) == 0 {
			p.revision++
		}
		published = append(published, p.publishService(s, v, now))
	}
	p.newsDue = time.Time{}
	p.feed.Publish(published)
	return published
}

// publishService makes v the published verdict of s and returns the change.
func (p *publisher) publishService(s *servedService, v verdict, now time.Time) health.Change {
	c := health.Change{Epoch: p.feed.Epoch(), From: s.published.Status, At: now}
	since := s.published.Since
	if v.status != s.published.Status || since.IsZero() {
		since = now
	}
	c.State = health.State{
		ID: s.id, Status: v.status, Cause: v.cause, Reason: v.reason,
		Since: since, FirstFailure: v.firstFailure, Revision: p.revision,
	}
	if s == p.judgement.nameless() {
		own := &p.judgement.own().published // Config.Service was published before, in the same call of publish
		c.Checks, c.Metrics = own.Checks, own.Metrics
	} else {
		c.Checks, c.Metrics = s.checkStates(&p.judgement.worst), p.totals.metrics()
	}
	s.published, s.changes = c.State, 0
	s.degraded.Store(v.status == health.Degraded)
	return c
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

// startHook starts a goroutine that calls f for each later change of a status. The function
// stop ends the goroutine. It waits at most 50 ms for a call of f that has not returned.
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
				continue // the name "" always has the status of Config.Service
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
