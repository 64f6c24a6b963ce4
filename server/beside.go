package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// companion is what runs beside a check, between its runs too.
type companion struct {
	task    *task
	name    string
	timeout time.Duration
	cancel  context.CancelFunc
	done    chan struct{}
}

// Beside calls f in a goroutine of its own that lives as long as the check: for
// a check that is told of changes and need not ask, such as one that holds a
// stream open. ctx is the one Run got; life ends with Remove and with the
// server's Run, which waits for f as for a run. Again makes the check run as
// soon as MinEvery allows; it may be called from anywhere, at any time.
//
// A check has one f at a time: while there is one, and outside a run, Beside
// does nothing. So a check calls it in each run, and f returns when its stream
// ends. A panic in f is logged.
func Beside(ctx context.Context, f func(life context.Context, again func())) {
	if r, ok := ctx.Value(runKey{}).(*run); ok && r.server != nil {
		r.server.accompany(r, f)
	}
}

func (s *Server) accompany(r *run, f func(context.Context, func())) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := r.task
	if t.tied().beside != nil || t.removed || s.schedule.closed {
		return
	}
	life, cancel := context.WithCancel(r.life)
	c := &companion{task: t, name: t.name, timeout: t.rules.timeout, cancel: cancel, done: make(chan struct{})}
	t.tie().beside = c
	s.companions[c] = struct{}{}
	go s.keep(life, c, f)
}

func (s *Server) keep(life context.Context, c *companion, f func(context.Context, func())) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Logger.Error("beside a check: panic", "service", s.cfg.Service, "check", c.name,
				"reason", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
		c.cancel()
		s.mu.Lock()
		c.task.ties.beside = nil
		delete(s.companions, c)
		s.mu.Unlock()
		close(c.done)
	}()
	f(life, func() { s.again(c.task) })
}

// again makes t run soon.
func (s *Server) again(t *task) {
	s.mu.Lock()
	s.schedule.again(t, time.Now())
	s.mu.Unlock()
	s.poke()
}

func (s *schedule) again(t *task, now time.Time) {
	// The clock on the wall may have been set since.
	rest := min(MinEvery, max(0, MinEvery-now.Sub(t.tally.last())))
	switch soon := s.at(now.Add(rest)); {
	case t.removed || s.closed:
	case t.phase == running:
		t.current.again = true
	case t.phase == idle && t.next > soon:
		t.next = soon
		s.fix(t)
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// leaveAlone waits for what runs beside checks; its contexts have ended. It
// returns the names of the checks whose has not returned in time.
func (s *Server) leaveAlone() (names []string) {
	s.mu.Lock()
	var all []*companion
	for c := range s.companions {
		all = append(all, c)
	}
	s.mu.Unlock()
	now := time.Now()
	for _, c := range all {
		if !doneBy(c.done, now.Add(c.timeout)) {
			names = append(names, c.name)
		}
	}
	return names
}
