package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
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
	// ErrTooManyChecks: a server takes MaxChecks.
	ErrTooManyChecks = fmt.Errorf("there are %d checks, the most a server takes", MaxChecks)
	// ErrLeaving: Drain was called or Run has ended, and nothing changes that.
	ErrLeaving = errors.New("the server is leaving: Drain was called, or Run has ended")
	// ErrRanTwice: Run is for once.
	ErrRanTwice = errors.New("Run was called twice")
)

// MaxChecks is how many checks a server takes. The first 128 of them are shown
// on the health services, those in trouble before the others.
const MaxChecks = 200_000

// Server runs checks and serves their status.
type Server struct {
	cfg      Config
	boards   []*board // Config.Service first
	names    map[health.ID]*board
	feed     *feed.Feed
	handlers *grpchealth.Handlers
	wake     chan struct{} // the schedule has changed
	pages    pages
	drained  drainOnce

	// mu guards what follows. Checks, callbacks and logging are outside it.
	mu    sync.Mutex
	tasks map[string]*task // by name
	// companions are what runs beside checks.
	companions map[*companion]struct{}
	rules      sharedRules
	schedule   schedule
	bad        badTasks
	kinds      [numKinds]counts
	// hasStarted: every startup check has passed once.
	hasStarted bool
	manual     manual
	leaving    bool // Drain was called, or Run has ended
	down       bool // Shutdown was called
	touched    bool // something beside the checks may have changed
	revision   uint64
	// news is how often anything was published since windowFrom; newsDue is when
	// more of it should be, zero if there is none.
	news                int
	windowFrom, newsDue time.Time
}

// New returns a server that is STARTING. It reports everything that is wrong
// with cfg at once.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("server.Config: %w", err)
	}
	cfg.setDefaults()
	s := &Server{
		cfg: cfg, names: map[health.ID]*board{}, tasks: map[string]*task{}, rules: sharedRules{}, companions: map[*companion]struct{}{},
		feed: feed.New(rand.Uint64(), 0), wake: make(chan struct{}, 1),
		drained:  drainOnce{done: make(chan struct{})},
		schedule: schedule{cap: cfg.MaxConcurrent, remember: cfg.History, epoch: time.Now()},
	}
	s.addBoard(cfg.Service, nil)
	for i := range cfg.Services {
		s.addBoard(cfg.Services[i].Name, cfg.Services[i].takes)
	}
	s.handlers = grpchealth.New(grpchealth.Config{
		Feed: s.feed, Self: s.boards[0].id, Details: cfg.Details, Figures: s.figures,
		DegradedNotServing: cfg.DegradedNotServing, Build: cfg.Build,
		MaxWatchers: cfg.MaxWatchers, MaxWatchersPerPeer: cfg.MaxWatchersPerPeer,
	})
	s.refresh(time.Now())
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
	return s.boards[0].published.Status
}

func (s *Server) addBoard(name string, takes func(*task) bool) {
	b := &board{id: health.ID{Service: name}, takes: takes, changed: true}
	s.boards = append(s.boards, b)
	s.names[b.id] = b
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
