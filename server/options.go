package server

import (
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// MinPing is the least time between a client's keepalive pings that
// ServerOptions allows.
const MinPing = 10 * time.Second

// ServerOptions are gRPC options that suit a server with many idle streams.
// They are optional, and set no limit on the service's own calls: a pool of
// stream workers, static flow-control windows (measuring bandwidth by pings
// costs an idle server more than its work), and keepalive pings allowed as
// often as every 10 s, which grpc-go by default answers with GOAWAY.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))),
		grpc.StaticStreamWindowSize(wire.StreamWindow),
		grpc.StaticConnWindowSize(wire.ConnWindow),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: MinPing, PermitWithoutStream: true}),
	}
}
