package server

import (
	"slices"
	"sync/atomic"

	"github.com/meshhealth/meshhealth/health"
)

// view is what a request wants to see.
type view struct {
	endpoint          endpoint
	format            format
	verbose, detailed bool
}

// page is a rendered answer.
type page struct {
	view   view
	age    uint64 // of the pages, when it was made
	code   int
	body   []byte
	length []string
}

// pages are the answers there are, made when they are asked for and used until
// something changes.
type pages struct {
	statuses, figures atomic.Uint64 // count their changes
	made              [numEndpoints][numFormats][2][2]atomic.Pointer[page]
}

// outdated makes every page be made anew.
func (p *pages) outdated() { p.statuses.Add(1); p.figures.Add(1) }

// stale makes those be made anew that show figures and reasons of checks.
func (p *pages) stale() { p.figures.Add(1) }

func (p *pages) age(v *view) uint64 {
	if v.verbose {
		return p.figures.Load()
	}
	return p.statuses.Load()
}

func (p *pages) slot(v *view) *atomic.Pointer[page] {
	return &p.made[v.endpoint][v.format][index(v.verbose)][index(v.detailed)]
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// page returns the answer for a view.
func (s *Server) page(v view) *page {
	slot := s.pages.slot(&v)
	if p := slot.Load(); p != nil && p.age == s.pages.age(&v) {
		return p
	}
	age := s.pages.age(&v) // before: what changes meanwhile makes it old again
	a := s.answer(v, nil)
	p := s.render(v, a)
	p.age = age
	slot.Store(p)
	return p
}

// except returns the answer without some checks; it is made for this request.
func (s *Server) except(v view, names []string) *page {
	return s.render(v, s.answer(v, names))
}

// answer is what an endpoint says.
type answer struct {
	status health.Status
	cause  health.Cause
	checks []health.CheckState
	runs   []PastRun // of the one check
	// unknown are names that were to be left out, and are not there.
	unknown []string
}

// answer takes a picture of an endpoint.
func (s *Server) answer(v view, except []string) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recountDirty()
	a := &answer{}
	for _, name := range except {
		if t := s.tasks[name]; t == nil || !v.endpoint.has(t.rules.kind) {
			a.unknown = append(a.unknown, name)
		}
	}
	a.status, a.cause = s.asks(v.endpoint)
	if len(except) > 0 {
		a.status, a.cause = s.without(v.endpoint, except, a)
	}
	if !v.verbose {
		return a
	}
	for _, t := range s.boards[0].members {
		if v.endpoint.has(t.rules.kind) && !slices.Contains(except, t.name) {
			a.checks = append(a.checks, t.state())
		}
	}
	return a
}

// asks returns the status of an endpoint.
func (s *Server) asks(e endpoint) (health.Status, health.Cause) {
	switch e {
	case livez:
		return s.live(), health.CauseNone
	case startupz:
		return s.startedUp(), health.CauseNone
	}
	v := s.judge(s.boards[0])
	return v.status, v.cause
}

// without judges an endpoint as if some checks were not there.
func (s *Server) without(e endpoint, names []string, a *answer) (health.Status, health.Cause) {
	if (s.leaving || s.down) && e == readyz {
		return a.status, a.cause
	}
	status, cause := health.Serving, health.CauseOK
	take := func(s health.Status, c health.Cause) {
		if s.WorseThan(status) {
			status, cause = s, c
		}
	}
	if s.manual.set && e == readyz {
		take(s.manual.status, s.manual.cause)
	}
	for _, t := range s.boards[0].members {
		if !e.has(t.rules.kind) || slices.Contains(names, t.name) {
			continue
		}
		v, counts := t.verdict()
		if e == readyz && !counts || t.rules.onFail == Ignore || e == livez && v.status == health.Starting {
			continue
		}
		take(v.status, v.cause)
	}
	if e == startupz && s.hasStarted {
		return health.Serving, health.CauseOK
	}
	return status, cause
}
