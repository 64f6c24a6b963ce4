package server

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
)

// What a listener for probes takes at most.
const (
	probeMessage = 4 << 10 // bytes of a request
	probeStreams = 100     // calls at once on a connection
	probeHello   = 5 * time.Second
)

// ServeHealth serves the health services on l in plaintext, and nothing else,
// until ctx ends: for kubelet, whose gRPC probes speak no TLS, beside a service
// that does. End ctx after Drain. It closes l, and returns nil when ctx has
// ended and everything has stopped, or why it could not go on.
func (s *Server) ServeHealth(ctx context.Context, l net.Listener) error {
	g := grpc.NewServer(append(s.ServerOptions(),
		grpc.MaxRecvMsgSize(probeMessage), grpc.MaxConcurrentStreams(probeStreams), grpc.ConnectionTimeout(probeHello))...)
	s.Register(g)
	forget := context.AfterFunc(ctx, g.Stop)
	defer forget()
	err := g.Serve(l)
	g.Stop() // waits for one that is under way
	if ctx.Err() != nil {
		return nil
	}
	return err
}
