package api

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
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

// Server serves the API. It has one gRPC server for each kind of peer, because the kinds have
// different limits for the size of a request. grpc-go checks this limit before it reads a
// request, but has only one limit per gRPC server.
type Server struct {
	cfg    Config
	health *grpchealth.Handlers

	verified *grpc.Server // server for peers with a verified certificate
	others   *grpc.Server // server for all other peers; accepts only small requests, unless all callers are trusted
	refusing *grpc.Server // server for refused connections; answers every call with an error that names the limit
}

// New returns a server that accepts no connections before Serve is called.
func New(cfg Config) *Server {
	cfg.setDefaults()
	s := &Server{cfg: cfg}
	s.health = grpchealth.New(grpchealth.Config{
		Feed: cfg.Feed, Build: cfg.Build, Policy: cfg.Policy, Caller: s.cfg.principal,
		MaxWatchers: cfg.MaxWatchers, MaxWatchersPerPeer: cfg.MaxWatchersPerPeer,
	})
	s.verified = s.newGRPC()
	s.others = s.verified
	if !cfg.TrustAll {
		s.others = s.newGRPC(grpc.MaxRecvMsgSize(wire.MaxAsk))
	}
	s.refusing = newRefusing()
	return s
}

// newGRPC returns a gRPC server with all services of the API.
func (s *Server) newGRPC(more ...grpc.ServerOption) *grpc.Server {
	g := grpc.NewServer(append(s.options(), more...)...)
	b := boundedServer{g}
	s.health.Register(b)
	pb.RegisterRegistryServiceServer(b, registryService{cfg: &s.cfg, stopping: s.health.Ended()})
	pb.RegisterAdminServiceServer(b, adminService{cfg: &s.cfg, watchers: s.Watchers})
	if s.cfg.Reflection {
		reflection.Register(describer{b, &s.cfg})
	}
	return g
}

func (s *Server) options() []grpc.ServerOption {
	panics := recovery.WithRecoveryHandlerContext(s.logPanic)
	return append(wire.ServerOptions(),
		grpc.ChainUnaryInterceptor(append(slices.Clip(s.cfg.Unary), recovery.UnaryServerInterceptor(panics))...),
		grpc.ChainStreamInterceptor(append(slices.Clip(s.cfg.Stream), recovery.StreamServerInterceptor(panics))...),
		grpc.Creds(newAuthenticated()))
}

// logPanic logs the panic of a handler. The call ends with INTERNAL; other calls continue.
func (s *Server) logPanic(ctx context.Context, p any) error {
	method, _ := grpc.Method(ctx)
	s.cfg.Logger.Error("a handler panicked", "method", method, "panic", p)
	return status.Error(codes.Internal, "the handler failed; its log says why")
}

// newRefusing returns the gRPC server for refused connections.
func newRefusing() *grpc.Server {
	return grpc.NewServer(append(wire.ServerOptions(), grpc.Creds(newAuthenticated()), grpc.MaxRecvMsgSize(wire.MaxAsk),
		grpc.UnknownServiceHandler(refuseCall), grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: refusedFor, MaxConnectionAgeGrace: time.Second, Time: wire.PingAfter,
		}))...)
}

// refuseCall answers a call on a refused connection with an error that names the limit.
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

// Services returns a gRPC server on which all services are registered. The metrics use it to list
// the names of all methods.
func (s *Server) Services() *grpc.Server { return s.verified }

// Serve answers calls until ctx ends. It closes the listener, and returns when all calls
// have ended. The error is nil if ctx has ended.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	a := &acceptor{listener: s.cfg.Peers.Listen(listener), creds: s.cfg.Credentials}
	if a.creds == nil {
		a.creds = insecure.NewCredentials()
	}
	open := func(g *grpc.Server) *connQueue {
		q := newConnQueue(listener.Addr())
		// g.Serve returns when g is stopped. Its error is ignored, because it says only that q
		// is closed.
		wg.Go(func() { _ = g.Serve(q) })
		return q
	}
	a.verified, a.refused = open(s.verified), open(s.refusing)
	if a.others = a.verified; s.others != s.verified {
		a.others = open(s.others)
	}
	wg.Go(func() {
		<-ctx.Done()
		_ = listener.Close()
		s.drain()
	})
	err := a.serve(ctx)
	if errors.Is(err, net.ErrClosed) && ctx.Err() != nil {
		return nil
	}
	return err
}

// drain ends every Watch with UNAVAILABLE. Then it waits up to drainTime for the other calls.
func (s *Server) drain() {
	s.health.End()
	servers := []*grpc.Server{s.verified, s.others, s.refusing}
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
