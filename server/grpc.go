package server

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// MinPing is the shortest time between two keepalive pings of one client that a server with
// ServerOptions accepts.
const MinPing = 10 * time.Second

// ServerOptions returns gRPC options that make short calls and idle streams cheaper. They
// limit none of the service's own calls, and a server works without them:
//
//   - 64 goroutines that run the handlers, and so avoid a new goroutine for each call. If
//     all of them are busy, a call gets a goroutine of its own. They start in
//     grpc.NewServer, and end after Stop or GracefulStop.
//   - Flow-control windows of fixed size. Otherwise grpc-go measures the bandwidth with
//     pings, which is expensive for an idle server.
//   - Keepalive pings of a client are allowed every 10 s. Without this option grpc-go
//     answers them with GOAWAY.
//   - A client that has sent nothing for 2 min is pinged. The server closes the connection
//     if the client does not answer within 20 s.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return append(wire.SharedServerOptions(),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: MinPing, PermitWithoutStream: true}))
}

// Limits of ServeHealth.
const (
	probeMessage = 4 << 10         // largest size of a request in bytes
	probeStreams = 100             // largest number of concurrent calls on one connection
	probeHello   = 5 * time.Second // longest time for the setup of a connection
	// After its context has ended, ServeHealth waits at most probeStop for the begin of Drain.
	// Before it returns, it waits at most probeStop for the end of all calls.
	probeStop = time.Second
)

// ServeHealth serves only the health services on l, in plaintext, until ctx ends. It is
// for the gRPC probes of kubelet, which cannot use TLS, beside a service that uses TLS.
//
// If Drain begins before ctx ends or at most a second later, ServeHealth waits until Drain
// has ended. So ctx may be the context whose end makes the program drain. After this wait,
// ServeHealth ends its Watch streams with UNAVAILABLE and closes l. It returns nil when all
// calls have ended, at most a second later. If l fails before ctx ends, it returns the
// error.
func (s *Server) ServeHealth(ctx context.Context, l net.Listener) error {
	streams, end := context.WithCancelCause(context.Background())
	defer end(nil)
	g := grpc.NewServer(append(s.ServerOptions(),
		grpc.MaxRecvMsgSize(probeMessage), grpc.MaxConcurrentStreams(probeStreams), grpc.ConnectionTimeout(probeHello),
		grpc.ChainStreamInterceptor(endStreamsWith(streams)))...)
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	select {
	case err := <-served:
		g.Stop()
		if ctx.Err() != nil {
			return nil
		}
		return err
	case <-ctx.Done():
	}
	if waitUntil(s.drain.begun, time.Now().Add(probeStop)) {
		<-s.drain.done
	}
	end(domain.ErrStopping)
	short, cancel := context.WithTimeout(context.Background(), probeStop)
	defer cancel()
	stopGracefully(short, g)
	<-served
	return nil
}

// endStreamsWith returns an interceptor that cancels the context of each stream when ctx ends.
// The cause of the cancellation is the cause of ctx.
func endStreamsWith(ctx context.Context) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		both, cancel := context.WithCancelCause(ss.Context())
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		return handle(srv, streamWithContext{ss, both})
	}
}

// streamWithContext is a stream whose context is replaced by ctx.
type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s streamWithContext) Context() context.Context { return s.ctx }
