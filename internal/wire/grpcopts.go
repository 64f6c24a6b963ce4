package wire

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// ServerOptions returns the options of the gRPC servers of a coordinator: the options that
// SharedServerOptions returns, and limits. The defaults of grpc-go are unsafe for a server that
// untrusted clients can reach.
func ServerOptions() []grpc.ServerOption {
	return append(SharedServerOptions(),
		grpc.MaxConcurrentStreams(MaxStreams),
		grpc.MaxHeaderListSize(MaxHeaderList),
		grpc.MaxRecvMsgSize(MaxRequest),
		grpc.ConnectionTimeout(HandshakeTimeout),
		grpc.ReadBufferSize(ReadBuffer),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: MinPing}),
	)
}

// SharedServerOptions returns the options that a coordinator and an embedded server have in common.
// They do not limit calls. They make calls and idle connections cheaper, and close the connections
// of clients that have vanished. A server with these options owns StreamWorkers goroutines from
// grpc.NewServer until Stop or GracefulStop.
func SharedServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.NumStreamWorkers(StreamWorkers),
		grpc.StaticStreamWindowSize(StreamWindow),
		grpc.StaticConnWindowSize(ConnWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: PingAfter, Timeout: PingTimeout}),
	}
}

// DialOptions returns the options of every gRPC client of this project, except credentials and
// dialer. The options switch off four things that grpc-go does by itself: retries, service configs,
// client-side health checks, and the closing of idle connections. maxReply is the largest size of a
// reply in bytes.
func DialOptions(maxReply int) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithNoProxy(),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableHealthCheck(),
		grpc.WithIdleTimeout(0),
		grpc.WithStaticStreamWindowSize(StreamWindow),
		grpc.WithStaticConnWindowSize(ConnWindow),
		grpc.WithReadBufferSize(ReadBuffer),
		grpc.WithMaxHeaderListSize(MaxHeaderList),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)),
	}
}
