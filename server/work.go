package server

import (
	"context"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// work runs checks while some wait for room. With each that it takes it calls
// another worker, if more wait and none is on its way: checks that block run
// beside each other, and those that do not need hardly more than one worker.
func (s *Server) work(ctx context.Context) {
	s.mu.Lock()
	now := time.Now()
	r, call := s.schedule.arrive(ctx, now)
	changes, early := s.refreshSoon(now)
	s.mu.Unlock()
	s.log(changes)
	if early {
		s.poke()
	}
	s.goOn(ctx, r, call)
}

func (s *Server) goOn(ctx context.Context, r *run, call bool) {
	for r != nil {
		if call {
			go s.work(ctx)
		}
		r, call = s.execute(r)
	}
}

// execute runs a check to its end, whatever that is, and returns the next.
func (s *Server) execute(r *run) (next *run, call bool) {
	// What stays if the check ends the goroutine (runtime.Goexit).
	res, returned := failed(health.CausePanic, "the check ended its goroutine"), false
	defer func() {
		r.cancel()
		next, call = s.settle(r, res)
		if !returned {
			go s.goOn(r.life, next, call)
		}
	}()
	r.server = s
	res = r.do()
	returned = true
	if res.stack != "" {
		s.cfg.Logger.Error("check panicked", "service", s.cfg.Service, "check", r.name, "reason", res.reason, "stack", res.stack)
	}
	return nil, false
}

// settle takes in what a run came to, and returns the one to run instead.
func (s *Server) settle(r *run, res result) (next *run, call bool) {
	s.mu.Lock()
	now := time.Now()
	s.schedule.settle(r, res, now)
	next, call = s.schedule.take(r.life, now)
	s.pages.stale()
	changes, early := s.refreshSoon(now)
	done := r.done
	s.mu.Unlock()
	s.log(changes)
	if early {
		s.poke()
	}
	if done != nil {
		close(done)
	}
	return next, call
}
