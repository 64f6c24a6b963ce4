package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The errors of this package.
var (
	// ErrCheckExists: there is a check of this name already.
	ErrCheckExists = errors.New("there is a check of this name already")
	// ErrTooManyChecks: a server takes 128 checks.
	ErrTooManyChecks = fmt.Errorf("there are %d checks, the most a server takes", wire.MaxChecks)
	// ErrLeaving: Drain was called or Run has ended, and nothing changes that.
	ErrLeaving = errors.New("the server is leaving: Drain was called, or Run has ended")
	// ErrRanTwice: Run is for once.
	ErrRanTwice = errors.New("Run was called twice")
)

// Server runs checks and serves their status.
type Server struct {
	cfg      Config
	self     health.ID
	feed     *feed.Feed
	handlers *grpchealth.Handlers
	wake     chan struct{} // the schedule has changed
	drained  drainOnce

	// mu guards what follows. Checks, callbacks and logging are outside it.
	mu        sync.Mutex
	tasks     []*task // in the order of Add
	schedule  schedule
	manual    manual
	leaving   bool // Drain was called, or Run has ended
	touched   bool // something beside the checks may have changed
	published health.State
}

// New returns a server that is STARTING. It reports everything that is wrong
// with cfg at once.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("server.Config: %w", err)
	}
	cfg.setDefaults()
	s := &Server{
		cfg: cfg, self: health.ID{Service: cfg.Service},
		feed: feed.New(rand.Uint64(), 0), wake: make(chan struct{}, 1),
		drained:  drainOnce{done: make(chan struct{})},
		schedule: schedule{cap: cfg.MaxConcurrent, live: map[*run]struct{}{}},
	}
	s.handlers = grpchealth.New(grpchealth.Config{
		Feed: s.feed, Self: s.self, Details: cfg.Details, Figures: s.figures,
		DegradedNotServing: cfg.DegradedNotServing, Build: cfg.Build,
		MaxWatchers: cfg.MaxWatchers, MaxWatchersPerPeer: cfg.MaxWatchersPerPeer,
	})
	s.publish(time.Now(), s.judge())
	return s, nil
}

// Register adds grpc.health.v1 and meshhealth.v1.HealthService to a gRPC
// server, before it serves.
func (s *Server) Register(r grpc.ServiceRegistrar) { s.handlers.Register(r) }

// Feed returns what the server publishes. It is for reading only.
func (s *Server) Feed() *feed.Feed { return s.feed }

// Status returns the published status.
func (s *Server) Status() health.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published.Status
}

// Add takes in a check. Before Run it waits for it; later its first run is at
// once. A check added while the service is routable does not take it out for
// want of a first run. The error says everything that is wrong with c.
func (s *Server) Add(c Check) error {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return fmt.Errorf("server.Check %q: %w", wire.CleanTo(c.Name, wire.MaxName), err)
	}
	var err error
	s.update(func(now time.Time) { err = s.add(c, now) })
	if err != nil {
		return fmt.Errorf("server.Check %q: %w", c.Name, err)
	}
	s.poke()
	return nil
}

func (s *Server) add(c Check, now time.Time) error {
	switch {
	case s.find(c.Name) >= 0:
		return ErrCheckExists
	case len(s.tasks) == wire.MaxChecks:
		return ErrTooManyChecks
	}
	t := &task{check: c, machine: health.NewMachine(c.policy(), now), newcomer: s.published.Status.Routable()}
	s.tasks = append(s.tasks, t)
	s.schedule.add(t, now)
	return nil
}

// Remove takes a check out and reports whether there was one of this name. If
// it runs, its context is cancelled and what it returns counts no more.
func (s *Server) Remove(name string) bool {
	found := false
	s.update(func(time.Time) {
		if i := s.find(name); i >= 0 {
			found = true
			s.schedule.remove(s.tasks[i])
			s.tasks = slices.Delete(s.tasks, i, i+1)
		}
	})
	s.poke()
	return found
}

func (s *Server) find(name string) int {
	return slices.IndexFunc(s.tasks, func(t *task) bool { return t.check.Name == name })
}

// SetStatus says by hand how the service is: SERVING, DEGRADED, NOT_SERVING,
// STARTING or MAINTENANCE. The worst of this and the checks is published; when
// it returns, it is. The reason is cut to 1 KiB and shown to who may see it.
func (s *Server) SetStatus(status health.Status, reason string) error {
	cause, ok := causeOf[status]
	if !ok {
		return fmt.Errorf("server.SetStatus: %v cannot be set by hand", status)
	}
	reason = wire.Clean(reason)
	var err error
	s.update(func(now time.Time) { err = s.setStatus(verdict{status: status, cause: cause, reason: reason}, now) })
	return err
}

func (s *Server) setStatus(v verdict, now time.Time) error {
	if s.leaving {
		return ErrLeaving
	}
	if v.status == health.Degraded || v.status == health.NotServing {
		v.firstFailure = earlier(s.manual.firstFailure, now)
	}
	s.manual, s.touched = manual{set: true, verdict: v}, true
	return nil
}
