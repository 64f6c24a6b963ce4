package rpc

import (
	"context"
	"log/slog"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Registry is what the doors need of the registry's room.
type Registry interface {
	Register(ctx context.Context, regs []wire.Registration) ([]*health.Spec, error)
	Deregister(ctx context.Context, id health.ID, lease uint64) error
	SetOverride(ctx context.Context, scope health.Scope, o *health.Override) error
	ClearOverride(ctx context.Context, scope health.Scope, author, reason string) error
	Overrides(ctx context.Context) ([]health.Forced, error)
	Transitions(ctx context.Context, q store.Query) (store.Page, error)
	Renew(ctx context.Context, id health.ID, lease uint64) (ttl time.Duration, unreachable bool, err error)
	Observe(ctx context.Context, ev health.Event, since time.Time) error
}

// Config says what is served, and to whom.
type Config struct {
	Registry Registry
	Feed     *feed.Feed
	// Targets decides which addresses may be registered.
	Targets *wire.Targets
	// Trusting: everybody who reaches the listener may do everything. Otherwise
	// registering, overriding and reading details need a verified certificate.
	Trusting bool
	// Reflection lets tools such as grpcurl list the services.
	Reflection bool
	// Credentials of the listener; nil means plaintext.
	Credentials credentials.TransportCredentials
	// Unary and Stream are interceptors of ours to run around every call, such
	// as metrics.
	Unary  []grpc.UnaryServerInterceptor
	Stream []grpc.StreamServerInterceptor
	// MaxConnsPerPeer bounds open connections from one host; 0 means no limit.
	MaxConnsPerPeer                 int
	MaxWatchers, MaxWatchersPerPeer int
	// Services is how single services are judged now, for Explain; nil means
	// that nothing is said of any.
	Services func() map[string]health.ServicePolicy
	// Stats fills in what the wiring knows of the coordinator.
	Stats  func(*pb.GetCoordinatorResponse)
	Build  string
	Logger *slog.Logger
}

// Server is the door.
type Server struct {
	cfg    Config
	health *grpchealth.Handlers
	grpc   *grpc.Server
}

// New returns a server; Serve opens it.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg}
	s.health = grpchealth.New(grpchealth.Config{
		Feed: cfg.Feed, Build: cfg.Build, Details: s.trusted,
		MaxWatchers: cfg.MaxWatchers, MaxWatchersPerPeer: cfg.MaxWatchersPerPeer,
	})
	s.grpc = grpc.NewServer(s.options()...)
	s.health.Register(s.grpc)
	pb.RegisterRegistryServiceServer(s.grpc, registryService{s: s})
	pb.RegisterAdminServiceServer(s.grpc, adminService{s: s})
	if cfg.Reflection {
		reflection.Register(s.grpc)
	}
	return s
}

// Watchers returns the number of open Watch streams.
func (s *Server) Watchers() int { return s.health.Watchers() }

// Services returns what is registered on the gRPC server, for metrics.
func (s *Server) Services() *grpc.Server { return s.grpc }

func (s *Server) options() []grpc.ServerOption {
	panics := recovery.WithRecoveryHandlerContext(s.panicked)
	options := append(wire.ServerOptions(),
		grpc.ChainUnaryInterceptor(append(s.cfg.Unary, recovery.UnaryServerInterceptor(panics))...),
		grpc.ChainStreamInterceptor(append(s.cfg.Stream, recovery.StreamServerInterceptor(panics))...))
	if s.cfg.Credentials != nil {
		options = append(options, grpc.Creds(s.cfg.Credentials))
	}
	return options
}

// panicked keeps a bug in one handler from ending everybody's calls.
func (s *Server) panicked(ctx context.Context, p any) error {
	method, _ := grpc.Method(ctx)
	s.cfg.Logger.Error("a handler panicked", "method", method, "panic", p)
	return status.Error(codes.Internal, "the handler failed; its log says why")
}
