package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// telling calls OnTransition until the returned function is called, which lets
// it hear of the last change. It reads the feed like any watcher: one that
// blocks misses what was undone meanwhile, and nobody waits for it.
func (s *Server) telling() (stop func()) {
	if s.cfg.OnTransition == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	known := map[health.ID]health.Status{}
	reader := s.feed.NewReader(feed.Interest{})
	// The first step is how things are, and never waits.
	if step, err := reader.Next(ctx); err == nil {
		for _, e := range step.Entries {
			known[e.ID] = e.Status
		}
	}
	go func() {
		defer close(done)
		s.tell(ctx, reader, known)
	}()
	return func() {
		cancel()
		doneBy(done, time.Now().Add(grace))
	}
}

func (s *Server) tell(ctx context.Context, reader *feed.Reader, known map[health.ID]health.Status) {
	for {
		step, err := reader.Next(ctx)
		if err != nil {
			return
		}
		for _, e := range step.Entries {
			from, told := known[e.ID]
			known[e.ID] = e.Status
			if told && from != e.Status {
				c := e.Change
				c.From = from
				s.callHook(c)
			}
		}
	}
}

func (s *Server) callHook(c health.Change) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Logger.Error("OnTransition panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	s.cfg.OnTransition(c)
}
