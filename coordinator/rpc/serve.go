package rpc

import (
	"context"
	"net"
	"sync"
	"time"
)

// drainTime is how long calls may take to end by themselves.
const drainTime = 3 * time.Second

// Serve answers until ctx ends. It returns when every call has, and closes the
// listener.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() {
		<-ctx.Done()
		s.end()
	})
	return s.grpc.Serve(limit(listener, s.cfg.MaxConnsPerPeer))
}

// end tells everybody to come again, and closes when they have left.
func (s *Server) end() {
	s.health.End()
	force := time.AfterFunc(drainTime, s.grpc.Stop)
	defer force.Stop()
	s.grpc.GracefulStop()
}
