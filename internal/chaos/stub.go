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

// stubKind is one way in which a grpc.health.v1 service is half-implemented. For each
// kind either Check or Watch is right, unless there is no health service.
type stubKind struct {
	name string
	// watch and check replace the methods of the stock server. Nil means that the
	// method of the stock server is used.
	watch func(s *stub, name string, stream healthpb.Health_WatchServer) error
	check func(ctx context.Context, s *stub, name string) error // if it returns an error, Check returns this error instead of a status
	// options are the options of the gRPC server.
	options []grpc.ServerOption
	// If late is set, the server does not know the name of a target before the first
	// change of the target.
	late bool
	// If noService is set, there is no health service.
	noService bool
}

// The kinds of stubs to which code outside stubKinds refers.
const (
	kindCheckOnly = "check-only"
	kindQuota     = "quota"
)

// quota is how many streams a server of kindQuota allows on a connection. quotaShare is
// how many targets share such a server.
const (
	quota      = 3
	quotaShare = 6
)

// stubKinds are all kinds of half-implemented health services.
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

// failingWatchKinds end every Watch before its first message.
func failingWatchKinds() (kinds []stubKind) {
	for _, c := range []codes.Code{
		codes.OK, codes.Unknown, codes.Internal, codes.Unavailable, codes.PermissionDenied, codes.ResourceExhausted,
	} {
		kinds = append(kinds, stubKind{name: "watch-" + strings.ToLower(c.String()), watch: watchFails(c)})
	}
	return kinds
}

// refusingKinds refuse every method that does not belong to grpc.health.v1.
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

// unimplemented answers unknown methods, after the interceptors have allowed them.
func unimplemented(any, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "unknown method")
}

// stub is a stock health server with some replaced methods.
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

// withoutFirst returns a function that ignores its first call and passes all later
// calls to f.
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

// currentStatus returns the status of a name.
func (s *stub) currentStatus(name string) healthpb.HealthCheckResponse_ServingStatus {
	resp, err := s.Server.Check(context.Background(), &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	}
	return resp.GetStatus()
}

// checkHangs is a Check that does not return before its context ends.
func checkHangs(ctx context.Context, _ *stub, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// checkFails is a Check that returns an error instead of NOT_SERVING.
func checkFails(_ context.Context, s *stub, name string) error {
	if s.currentStatus(name) == healthpb.HealthCheckResponse_NOT_SERVING {
		return status.Error(codes.Unknown, "health: db not ok")
	}
	return nil
}

// watchFails returns a Watch that ends at once with the code c.
func watchFails(c codes.Code) func(*stub, string, healthpb.Health_WatchServer) error {
	return func(*stub, string, healthpb.Health_WatchServer) error {
		return status.Error(c, "Watch is not implemented") // returns nil if c is OK
	}
}

type (
	sender   func(s *stub, name string, stream healthpb.Health_WatchServer) error
	finisher func(stream healthpb.Health_WatchServer) error
)

// watchSends returns a Watch that sends at most one message, and then ends or stays
// open.
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
