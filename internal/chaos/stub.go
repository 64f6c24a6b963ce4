package chaos

import (
	"context"
	"net"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// stubKind is one way in which a grpc.health.v1 service is half-implemented. In each kind at
// least one of Check and Watch works correctly, or the server has no health service.
type stubKind struct {
	name string
	// watch replaces the method Watch of the stock server. nil means that Watch is not
	// replaced.
	watch func(s *stub, name string, stream healthpb.Health_WatchServer) error
	// check is called before the method Check of the stock server. If it returns an error,
	// Check returns this error. nil means that nothing is called.
	check func(ctx context.Context, s *stub, name string) error
	// options are the options of the gRPC server.
	options []grpc.ServerOption
	// late is true if the server does not know a target at first. It learns the name of the
	// target when the state of the target changes for the first time.
	late bool
	// noService is true if the gRPC server has no health service.
	noService bool
}

// The names of two kinds of half-implemented health services that other files use.
const (
	kindCheckOnly = "check-only"
	kindQuota     = "quota"
)

const (
	quota      = 3 // number of concurrent streams on a connection that a server of the kind kindQuota allows
	quotaShare = 6 // number of targets that share a server of the kind kindQuota
)

// stubKinds has all kinds of half-implemented health services.
var stubKinds = slices.Concat(failingWatchKinds(), refusingKinds(), []stubKind{
	{name: kindCheckOnly, watch: watchFails(codes.Unimplemented)},
	{name: "constant-ends", watch: watchSends(sendServing, endStream)},
	{name: "constant-stays", watch: watchSends(sendServing, keepOpen)},
	{name: "once-ends", watch: watchSends(sendCurrent, endStream)},
	{name: "once-stays", watch: watchSends(sendCurrent, keepOpen)},
	{name: "silent", watch: watchSends(sendNothing, keepOpen)},
	{name: "silent-header", watch: watchSends(sendHeader, keepOpen)},
	{name: kindQuota, options: []grpc.ServerOption{grpc.MaxConcurrentStreams(quota)}},
	{name: "late", late: true},
	{name: "late-check", late: true, watch: watchFails(codes.Unimplemented)},
	{name: "check-hangs", check: checkHangs},
	{name: "check-error", watch: watchFails(codes.Unimplemented), check: checkFails},
	{name: "no-health-service", noService: true},
})

func stubNamed(name string) *stubKind {
	i := slices.IndexFunc(stubKinds, func(k stubKind) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &stubKinds[i]
}

// failingWatchKinds returns kinds of servers that end every Watch before its first message.
func failingWatchKinds() (kinds []stubKind) {
	for _, c := range []codes.Code{
		codes.OK, codes.Unknown, codes.Internal, codes.Unavailable, codes.PermissionDenied, codes.ResourceExhausted,
	} {
		kinds = append(kinds, stubKind{name: "watch-" + strings.ToLower(c.String()), watch: watchFails(c)})
	}
	return kinds
}

// refusingKinds returns kinds of servers that refuse every method outside grpc.health.v1, as
// an interceptor that checks authorisation does.
func refusingKinds() (kinds []stubKind) {
	for _, c := range []codes.Code{
		codes.Unauthenticated, codes.PermissionDenied, codes.NotFound, codes.Internal, codes.Unavailable,
	} {
		guard := func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if strings.HasPrefix(info.FullMethod, "/"+healthpb.Health_ServiceDesc.ServiceName+"/") {
				return next(srv, s)
			}
			return status.Error(c, "this method is not allowed")
		}
		kinds = append(kinds, stubKind{name: "refuses-" + strings.ToLower(c.String()), options: []grpc.ServerOption{
			grpc.StreamInterceptor(guard), grpc.UnknownServiceHandler(unimplemented),
		}})
	}
	return kinds
}

// unimplemented answers calls of methods that the server does not have. It is needed because gRPC
// calls interceptors for unknown methods only if the server has a handler for unknown methods.
func unimplemented(any, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "unknown method")
}

// stub is the health server of grpc-go. Its kind may replace the methods Check and Watch.
type stub struct {
	*stock.Server
	kind *stubKind
}

// serveStub serves targets with a half-implemented health service.
func (h *host) serveStub(k *stubKind, l net.Listener, targets []*target) {
	s, g := &stub{stock.NewServer(), k}, grpc.NewServer(k.options...)
	if !k.noService {
		healthpb.RegisterHealthServer(g, s)
	}
	h.serveGRPC(g, l)
	for _, t := range targets {
		t.set, t.grpc = s.SetServingStatus, g
		if k.late {
			t.set = withoutFirst(s.SetServingStatus)
		}
	}
}

// withoutFirst returns a function that does nothing at its first call, and calls f at every
// later call.
func withoutFirst[A, B any](f func(A, B)) func(A, B) {
	called := false
	return func(a A, b B) {
		if called {
			f(a, b)
		}
		called = true
	}
}

func (s *stub) Check(ctx context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if s.kind.check != nil {
		if err := s.kind.check(ctx, s, req.GetService()); err != nil {
			return nil, err
		}
	}
	return s.Server.Check(ctx, req)
}

func (s *stub) Watch(req *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	if s.kind.watch != nil {
		return s.kind.watch(s, req.GetService(), stream)
	}
	return s.Server.Watch(req, stream)
}

// currentStatus returns the true status of a name, or SERVICE_UNKNOWN.
func (s *stub) currentStatus(name string) healthpb.HealthCheckResponse_ServingStatus {
	resp, err := s.Server.Check(context.Background(), &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	}
	return resp.GetStatus()
}

// checkHangs makes Check hang until the context of the call ends.
func checkHangs(ctx context.Context, _ *stub, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// checkFails makes Check return an error if the status is NOT_SERVING.
func checkFails(_ context.Context, s *stub, name string) error {
	if s.currentStatus(name) == healthpb.HealthCheckResponse_NOT_SERVING {
		return status.Error(codes.Unknown, "health: db not ok")
	}
	return nil
}

// watchFails returns an implementation of Watch that ends at once with the code c.
func watchFails(c codes.Code) func(*stub, string, healthpb.Health_WatchServer) error {
	return func(*stub, string, healthpb.Health_WatchServer) error {
		return status.Error(c, "Watch is not implemented") // if c is OK, this is nil, and Watch ends without an error
	}
}

type (
	sender   func(s *stub, name string, stream healthpb.Health_WatchServer) error
	finisher func(stream healthpb.Health_WatchServer) error
)

// watchSends returns an implementation of Watch that calls two functions. first sends at most one
// message, and last ends the stream or keeps it open.
func watchSends(first sender, last finisher) func(*stub, string, healthpb.Health_WatchServer) error {
	return func(s *stub, name string, stream healthpb.Health_WatchServer) error {
		if err := first(s, name, stream); err != nil {
			return err
		}
		return last(stream)
	}
}

func sendNothing(*stub, string, healthpb.Health_WatchServer) error { return nil }

func sendHeader(_ *stub, _ string, stream healthpb.Health_WatchServer) error {
	return stream.SendHeader(nil)
}

func sendServing(_ *stub, _ string, stream healthpb.Health_WatchServer) error {
	return stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING})
}

func sendCurrent(s *stub, name string, stream healthpb.Health_WatchServer) error {
	return stream.Send(&healthpb.HealthCheckResponse{Status: s.currentStatus(name)})
}

func endStream(healthpb.Health_WatchServer) error { return nil }

func keepOpen(stream healthpb.Health_WatchServer) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}
