package grpchealth

import (
	"context"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Config says what is served, and to whom.
type Config struct {
	// Feed is what is served.
	Feed *feed.Feed
	// Self is the name that "" stands for.
	Self health.ID
	// Details decides who sees reasons and addresses; nil means nobody does.
	// It is asked once for each call.
	Details func(context.Context) bool
	// Figures returns the current figures of an entry, where they are younger
	// than its last change; nil means they are not.
	Figures func(health.ID) ([]health.CheckState, *health.Metrics)
	// DegradedNotServing makes DEGRADED read NOT_SERVING on grpc.health.v1.
	DegradedNotServing bool
	// Build is the version sent along.
	Build string
	// MaxWatchers and MaxWatchersPerPeer bound open Watch streams; 0 means
	// DefaultMaxWatchers and DefaultMaxWatchersPerPeer.
	MaxWatchers, MaxWatchersPerPeer int
}

// The defaults of Config.
const (
	DefaultMaxWatchers        = 20_000
	DefaultMaxWatchersPerPeer = 4096
)

// Handlers serves both health services.
type Handlers struct {
	cfg     Config
	limiter limiter
	// ended carries, as its cause, why every Watch ends.
	ended context.Context
	end   context.CancelCauseFunc
}

// New returns handlers for a feed.
func New(cfg Config) *Handlers {
	h := &Handlers{cfg: cfg}
	h.limiter.init(cfg.MaxWatchers, cfg.MaxWatchersPerPeer)
	h.ended, h.end = context.WithCancelCause(context.Background())
	return h
}

// Register adds both services to a gRPC server.
func (h *Handlers) Register(r grpc.ServiceRegistrar) {
	healthpb.RegisterHealthServer(r, standard{h: h})
	pb.RegisterHealthServiceServer(r, extended{h: h})
}

// End ends every Watch with UNAVAILABLE and refuses new ones before any
// message: a stock client takes a message for success and would come back at
// once, thousands of times a second. Check and List go on.
func (h *Handlers) End() { h.end(wire.ErrStopping) }

// Ended is closed by End.
func (h *Handlers) Ended() <-chan struct{} { return h.ended.Done() }

// Watchers returns the number of open Watch streams.
func (h *Handlers) Watchers() int { return h.limiter.count() }

// resolve returns the feed's name of what a caller named.
func (h *Handlers) resolve(id health.ID) health.ID {
	if (id == health.ID{}) {
		return h.cfg.Self
	}
	return id
}

// resolveSelector does the same for the services of a selector.
func (h *Handlers) resolveSelector(s *wire.Selector) {
	if s.Services[""] {
		delete(s.Services, "")
		s.Services[h.cfg.Self.Service] = true
	}
}

// audience returns whose slots a call reads.
func (h *Handlers) audience(ctx context.Context) feed.Key {
	if h.cfg.Details != nil && h.cfg.Details(ctx) {
		return feed.Full
	}
	return feed.Public
}

// watching counts a Watch in. Its context ends with the stream or with End,
// and says by its cause which.
func (h *Handlers) watching(stream context.Context) (context.Context, func(), error) {
	if h.ended.Err() != nil {
		return nil, nil, context.Cause(h.ended)
	}
	leave, err := h.limiter.enter(stream)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(stream)
	unhook := context.AfterFunc(h.ended, func() { cancel(context.Cause(h.ended)) })
	return ctx, func() { unhook(); cancel(nil); leave() }, nil
}
