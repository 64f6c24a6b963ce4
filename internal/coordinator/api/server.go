package api

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// drainTime is the longest time for which Serve waits for open calls after ctx has ended.
	drainTime = 3 * time.Second
	// refusedFor is the time for which a refused connection stays open. While it is open, the
	// client does not dial again.
	refusedFor = 10 * time.Second
)

// Server serves the API, which is all gRPC services of a coordinator. Serve must be called at
// most once.
type Server struct {
	cfg    Config
	health *grpchealth.Handlers
	tokens *wire.TokenCipher // of page tokens for callers that may not read every name
}

// New returns a server that accepts no connections before Serve is called.
func New(cfg Config) *Server {
	cfg.setDefaults()
	s := &Server{cfg: cfg, tokens: wire.NewTokenCipher()}
	s.health = grpchealth.New(grpchealth.Config{
		Feed: cfg.Feed, Figures: cfg.Figures, Build: cfg.Build, Rights: cfg.Access.Rights, StandardRights: cfg.Access.Rights, Instances: true,
		MaxWatchers: cfg.MaxWatchers, MaxWatchersPerPeer: cfg.MaxWatchersPerPeer, Read: s.cfg.noteReading,
	})
	return s
}

// newGRPC returns a gRPC server with all services of the API.
func (s *Server) newGRPC(more ...grpc.ServerOption) *grpc.Server {
	g := grpc.NewServer(append(s.options(), more...)...)
	s.register(g)
	return g
}

func (s *Server) register(g *grpc.Server) {
	b := boundedServer{g}
	s.health.Register(b)
	pb.RegisterRegistryServiceServer(b, registryService{cfg: &s.cfg, stopping: s.health.Ended()})
	pb.RegisterAdminServiceServer(b, s.admin())
	if s.cfg.XDS != nil {
		discoverypb.RegisterAggregatedDiscoveryServiceServer(routedServer{b, s.cfg.Access}, s.cfg.XDS)
	}
	if s.cfg.Reflection {
		reflection.Register(b)
	}
}

func (s *Server) admin() adminService {
	return adminService{cfg: &s.cfg, watchers: s.Watchers, tokens: s.tokens, stopping: s.health.Ended()}
}

func (s *Server) options() []grpc.ServerOption {
	all := wire.ServerOptions()
	if s.cfg.XDS != nil {
		all = append(all, grpc.ForceServerCodecV2(s.cfg.XDS.Codec()))
	}
	return append(all,
		grpc.ChainUnaryInterceptor(s.unary()...),
		grpc.ChainStreamInterceptor(s.stream()...),
		grpc.Creds(newAuthenticated()))
}

// routedServer registers services whose streams need the right to read the routes of any service.
type routedServer struct {
	boundedServer
	access *Access
}

// RegisterService implements grpc.ServiceRegistrar.
func (r routedServer) RegisterService(desc *grpc.ServiceDesc, impl any) {
	r.boundedServer.RegisterService(withStreams(desc, func(_ string, handler grpc.StreamHandler) grpc.StreamHandler {
		return func(srv any, stream grpc.ServerStream) error {
			if err := r.access.Rights(stream.Context()).CheckAny(access.VerbRoute); err != nil {
				return wire.GRPC(err)
			}
			return handler(srv, stream)
		}
	}), impl)
}

// MayLocate returns a function that reports whether the caller of the call with the context ctx may see
// the addresses of a service.
func (s *Server) MayLocate(ctx context.Context) func(service string) bool {
	rights := s.cfg.Access.Rights(ctx)
	return func(service string) bool {
		name := access.Of(health.ID{Service: service})
		_, allowed := rights.Allows(access.VerbRoute, name)
		if l := s.cfg.Access.learning(); l != nil && allowed {
			l.route(rights, name)
		}
		return allowed
	}
}

// unary returns the interceptors of unary calls, the outermost first.
func (s *Server) unary() []grpc.UnaryServerInterceptor {
	return append(slices.Clip(s.cfg.Unary), recovery.UnaryServerInterceptor(recovery.WithRecoveryHandlerContext(s.logPanic)), s.cfg.Access.unary)
}

// stream returns the interceptors of streams, the outermost first.
func (s *Server) stream() []grpc.StreamServerInterceptor {
	return append(slices.Clip(s.cfg.Stream), recovery.StreamServerInterceptor(recovery.WithRecoveryHandlerContext(s.logPanic)), s.cfg.Access.stream)
}

// logPanic logs the panic of a handler. The call of this handler ends with INTERNAL; other calls
// continue.
func (s *Server) logPanic(ctx context.Context, p any) error {
	method, _ := grpc.Method(ctx)
	s.cfg.Logger.Error("a handler panicked", "method", method, "panic", p)
	return status.Error(codes.Internal, "the handler failed; its log says why")
}

// newRefusing returns the gRPC server for connections that exceed a limit. It has no services,
// and answers every call with an error.
func newRefusing() *grpc.Server {
	return grpc.NewServer(append(wire.ServerOptions(), grpc.Creds(newAuthenticated()), grpc.MaxRecvMsgSize(wire.MaxAsk),
		grpc.UnknownServiceHandler(refuseCall), grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: refusedFor, MaxConnectionAgeGrace: time.Second, Time: wire.PingAfter,
		}))...)
}

// refuseCall answers a call on a connection that exceeds a limit. The error names the limit.
func refuseCall(_ any, stream grpc.ServerStream) error {
	if p, ok := peer.FromContext(stream.Context()); ok {
		if a, ok := p.Addr.(peerAddr); ok {
			return wire.GRPC(a.conn.Refused())
		}
	}
	return wire.GRPC(domain.ErrLimit)
}

// Watchers returns the number of open Watch streams.
func (s *Server) Watchers() int { return s.health.Watchers() }

// Services returns a new gRPC server on which the services of the API are registered. It has
// no listener. The metrics use it to list the methods.
func (s *Server) Services() *grpc.Server {
	g := grpc.NewServer()
	s.register(g)
	return g
}

// Serve answers calls until ctx ends. It closes the listeners, and returns when all calls
// have ended. The error is nil if ctx has ended.
//
// Peers without an identity may send only small requests, unless the access policy allows them to
// register instances. Serve runs one gRPC server for each kind of peer, because a gRPC server has
// only one limit for the size of a request.
func (s *Server) Serve(ctx context.Context, listeners ...Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var servers []*grpc.Server
	open := func(g *grpc.Server) *connQueue {
		servers = append(servers, g)
		q := newConnQueue(listeners[0].Addr())
		// g.Serve returns when g is stopped. The error of g.Serve is ignored, because it only
		// reports that q is closed.
		wg.Go(func() { _ = g.Serve(q) })
		return q
	}
	a := acceptor{
		access: s.cfg.Access, known: open(s.newGRPC()), others: open(s.newGRPC(grpc.MaxRecvMsgSize(wire.MaxAsk))), refused: open(newRefusing()),
	}
	wg.Go(func() {
		<-ctx.Done()
		for _, l := range listeners {
			_ = l.Close()
		}
		s.drain(servers)
	})
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		wg.Go(func() { ended <- a.at(s.cfg.Peers, l).serve(ctx) })
	}
	var errs []error
	for range listeners {
		if err := <-ended; !errors.Is(err, net.ErrClosed) || ctx.Err() == nil {
			errs = append(errs, err)
		}
		stop() // a listener that has failed ends the others
	}
	return errors.Join(errs...)
}

// drain ends every Watch with UNAVAILABLE. Then it waits up to drainTime for the other calls.
func (s *Server) drain(servers []*grpc.Server) {
	s.health.End()
	force := time.AfterFunc(drainTime, func() {
		for _, g := range servers {
			g.Stop()
		}
	})
	defer force.Stop()
	var stopping sync.WaitGroup
	defer stopping.Wait()
	for _, g := range servers {
		stopping.Go(g.GracefulStop)
	}
}
