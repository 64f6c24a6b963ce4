package orca

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcorca "google.golang.org/grpc/orca"
	"google.golang.org/grpc/status"
)

// ServerOptions returns gRPC options that count the calls and, unless NoTrailers is set, add a
// report to the trailers of each reply. Calls of health, load and reflection services are not
// counted and have no report.
//
// A handler may add figures of its own with the recorder of its context, see
// CallMetricsRecorderFromContext of google.golang.org/grpc/orca.
func (r *Reporter) ServerOptions() []grpc.ServerOption {
	options := []grpc.ServerOption{grpc.ChainUnaryInterceptor(r.unary), grpc.ChainStreamInterceptor(r.stream)}
	if r.cfg.NoTrailers {
		return options
	}
	// The interceptors of grpc-go come first, because they make the recorder that ours use.
	return append([]grpc.ServerOption{grpcorca.CallMetricsServerOption(r)}, options...)
}

func (r *Reporter) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if !counts(info.FullMethod) {
		return handle(ctx, req)
	}
	r.begin(ctx)
	resp, err := handle(ctx, req)
	r.end(err)
	return resp, err
}

func (r *Reporter) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if !counts(info.FullMethod) {
		return handle(srv, ss)
	}
	r.begin(ss.Context())
	err := handle(srv, ss)
	r.end(err)
	return err
}

// begin counts a call. grpc-go adds a report to the trailers of each call whose recorder was
// asked for.
func (r *Reporter) begin(ctx context.Context) {
	r.rate.calls.Add(1)
	if !r.cfg.NoTrailers {
		grpcorca.CallMetricsRecorderFromContext(ctx)
	}
}

func (r *Reporter) end(err error) {
	if err != nil && slices.Contains(serverErrors, status.Code(err)) {
		r.rate.errors.Add(1)
	}
}

// serverErrors has the codes that say that the server has failed, and not its caller. The list is
// that of OpenTelemetry.
var serverErrors = []codes.Code{
	codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss,
}

// notCounted has the beginnings of methods that are no load of the service.
var notCounted = []string{"/grpc.health.v1.", "/meshhealth.v1.", "/grpc.reflection.", "/xds.service.orca."}

func counts(method string) bool {
	return !slices.ContainsFunc(notCounted, func(prefix string) bool { return strings.HasPrefix(method, prefix) })
}

// Register adds xds.service.orca.v3.OpenRcaService to a gRPC server, so that clients can ask for
// reports out of band. The streams of this service end when Drain of the server ends its Watch
// streams.
func (r *Reporter) Register(g grpc.ServiceRegistrar) error {
	return grpcorca.Register(endingRegistrar{g, r.cfg.Server.Ended()}, grpcorca.ServiceOptions{
		ServerMetricsProvider: r, MinReportingInterval: r.cfg.Interval,
	})
}

// endingRegistrar registers services whose streams end when a channel is closed. The streams of
// grpc-go's service never end, and GracefulStop would wait for them.
type endingRegistrar struct {
	grpc.ServiceRegistrar
	ended <-chan struct{}
}

// RegisterService implements grpc.ServiceRegistrar.
func (e endingRegistrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	changed := *desc
	changed.Streams = slices.Clone(desc.Streams)
	for i := range changed.Streams {
		handle := changed.Streams[i].Handler
		changed.Streams[i].Handler = func(srv any, ss grpc.ServerStream) error { return e.run(handle, srv, ss) }
	}
	e.ServiceRegistrar.RegisterService(&changed, impl)
}

// run calls a handler with a context that ends when e.ended is closed.
func (e endingRegistrar) run(handle grpc.StreamHandler, srv any, ss grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(ss.Context())
	defer cancel()
	go func() {
		select {
		case <-e.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := handle(srv, streamWithContext{ss, ctx})
	if ctx.Err() != nil && ss.Context().Err() == nil {
		return status.Error(codes.Unavailable, "the server is stopping")
	}
	return err
}

// streamWithContext is a stream whose context is replaced by ctx.
type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s streamWithContext) Context() context.Context { return s.ctx }
