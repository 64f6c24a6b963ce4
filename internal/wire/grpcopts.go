package wire

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// ServerOptions returns the limits of every gRPC server of this project. The defaults of
// grpc-go are unsafe for a server that untrusted clients can reach.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxConcurrentStreams(MaxStreams),
		grpc.MaxHeaderListSize(MaxHeaderList),
		grpc.MaxRecvMsgSize(MaxRequest),
		grpc.ConnectionTimeout(HandshakeTimeout),
		grpc.StaticStreamWindowSize(StreamWindow),
		grpc.StaticConnWindowSize(ConnWindow),
		grpc.ReadBufferSize(ReadBuffer),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: MinPing}),
		Keepalive(),
	}
}

// Keepalive ends the connections of clients that vanished without closing them.
func Keepalive() grpc.ServerOption {
	return grpc.KeepaliveParams(keepalive.ServerParameters{Time: PingAfter, Timeout: PingTimeout})
}

// DialOptions returns the options of every gRPC client of this project, except
// credentials and dialer. They switch off what grpc-go does by itself: retries, service
// configs, client-side health checks and closing idle connections.
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
