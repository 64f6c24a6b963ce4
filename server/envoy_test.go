package server_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/nettest"
	"github.com/meshhealth/meshhealth/server"
)

const (
	degraded      = "x-envoy-degraded"
	immediateFail = "x-envoy-immediate-health-check-fail"
)

// become gives a server a status.
func become(t *testing.T, s *server.Server, status health.Status) {
	t.Helper()
	var err error
	switch status {
	case health.Unknown:
		s.SetServingStatus("", healthpb.HealthCheckResponse_UNKNOWN)
	case health.Draining:
		err = s.Drain(t.Context())
	default:
		err = s.SetStatus(status, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, s, status)
}

// TestEnvoyProbes: the answer for each status, for the gRPC and the HTTP health checker of Envoy.
func TestEnvoyProbes(t *testing.T) {
	for _, c := range []struct {
		status  health.Status
		cfg     server.Config
		healthy bool
		code    int
		header  string
	}{
		{health.Serving, server.Config{}, true, 200, ""},
		{health.Degraded, server.Config{}, true, 200, degraded},
		{health.Degraded, server.Config{DegradedNotServing: true, DegradedHTTP: 503}, false, 503, ""},
		{health.Degraded, server.Config{DegradedHTTP: 203}, true, 203, degraded},
		{health.NotServing, server.Config{}, false, 503, immediateFail},
		{health.Starting, server.Config{}, false, 503, ""},
		{health.Unknown, server.Config{}, false, 503, ""},
		{health.Draining, server.Config{}, false, 503, immediateFail},
		{health.Maintenance, server.Config{}, false, 503, immediateFail},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, c.cfg)
			become(t, s, c.status)
			e := serve(t, s)
			checker := &nettest.EnvoyChecker{Dial: e.listener.Dial, Service: service, Hostname: "10.0.0.1:8080"}
			defer checker.Close()
			if got := checker.Probe(); got != (nettest.Verdict{Healthy: c.healthy}) {
				t.Errorf("%v: %+v, want healthy: %v", c.status, got, c.healthy)
			}
			for path, header := range map[string]string{"/readyz": c.header, "/readyz?verbose": c.header, "/livez": "", "/startupz": "", "/": ""} {
				w := get(s, path)
				for _, h := range []string{degraded, immediateFail} {
					want := map[bool]string{true: "true"}[h == header]
					if got := w.Header().Get(h); got != want {
						t.Errorf("%v: %s has %s: %q, want %q", c.status, path, h, got, want)
					}
				}
				if path == "/readyz" && w.Code != c.code {
					t.Errorf("%v: %d, want %d", c.status, w.Code, c.code)
				}
			}
		})
	}
}

// TestEnvoyPagesOfChecks: the headers follow the status that the page shows, not that of the
// service.
func TestEnvoyPagesOfChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: func(context.Context) error { return errDown }},
			server.Check{Name: "cache", Run: func(context.Context) error { return health.Warnf("slow") }})
		start(t, s)
		wantStatus(t, s, health.NotServing)
		for path, want := range map[string]http.Header{
			"/readyz":            {"X-Envoy-Immediate-Health-Check-Fail": {"true"}},
			"/readyz/db":         {"X-Envoy-Immediate-Health-Check-Fail": {"true"}},
			"/readyz/cache":      {"X-Envoy-Degraded": {"true"}},
			"/readyz?exclude=db": {"X-Envoy-Degraded": {"true"}},
			"/readyz/nobody":     {},
		} {
			got := get(s, path).Header()
			for _, h := range []string{degraded, immediateFail} {
				if got.Get(h) != want.Get(h) {
					t.Errorf("%s has %s: %q, want %q", path, h, got.Get(h), want.Get(h))
				}
			}
		}
	})
}

// TestEnvoyProbeDuringStop: Stop lets a running probe end. A later probe fails because of the
// network.
func TestEnvoyProbeDuringStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		become(t, s, health.Serving)
		hold := make(chan struct{})
		slow := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			m, err := handle(ctx, req)
			<-hold
			return m, err
		}
		e := serve(t, s, grpc.UnaryInterceptor(slow))
		checker := &nettest.EnvoyChecker{Dial: e.listener.Dial, Service: service}
		defer checker.Close()
		verdict := make(chan nettest.Verdict, 1)
		go func() { verdict <- checker.Probe() }()
		synctest.Wait()
		time.AfterFunc(500*time.Millisecond, func() { close(hold) })
		if err := s.Stop(e.grpc, time.Minute); err != nil {
			t.Error(err)
		}
		if got := <-verdict; got != (nettest.Verdict{Healthy: true}) {
			t.Errorf("the running probe: %+v", got)
		}
		if got := checker.Probe(); !got.Network {
			t.Errorf("a later probe: %+v", got)
		}
	})
}

// TestEnvoyUnknownName: an unknown name is a failure, not a network failure.
func TestEnvoyUnknownName(t *testing.T) {
	e := serve(t, newServer(t, server.Config{}))
	checker := &nettest.EnvoyChecker{Dial: e.listener.Dial, Service: "other"}
	defer checker.Close()
	if got := checker.Probe(); got.Code != codes.NotFound || got.Network {
		t.Errorf("%+v", got)
	}
}

// echo is the own service of a program. Its calls are those of grpc.health.v1, so that no other
// stubs are needed.
type echo struct {
	healthpb.UnimplementedHealthServer
}

func (echo) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{}, nil
}

func (echo) Watch(_ *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return stream.Send(&healthpb.HealthCheckResponse{})
}

// withHeader serves a plain service with the interceptors of s for a name.
func withHeader(t *testing.T, s *server.Server, name string) healthpb.HealthClient {
	t.Helper()
	unary, stream, err := s.DegradedHeader(name)
	if err != nil {
		t.Fatal(err)
	}
	g, l := grpc.NewServer(grpc.ChainUnaryInterceptor(unary), grpc.ChainStreamInterceptor(stream)), bufconn.Listen(64<<10)
	healthpb.RegisterHealthServer(g, echo{})
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return healthpb.NewHealthClient((&grpcServer{listener: l}).dial(t))
}

// TestDegradedHeader: replies have the header while the name is DEGRADED, and at no other time.
func TestDegradedHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{Services: []server.Service{{Name: "orders", Checks: []string{"cache"}}}})
		cache := &probe{}
		add(t, s, server.Check{Name: "cache", Run: cache.run, OnFail: server.Degrade}, server.Check{Name: "db", Run: (&probe{}).run})
		start(t, s)
		whole, orders := withHeader(t, s, ""), withHeader(t, s, "orders")
		wants := func(when string, c healthpb.HealthClient, want bool) {
			t.Helper()
			synctest.Wait()
			var unary metadata.MD
			if _, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.Header(&unary)); err != nil {
				t.Fatal(err)
			}
			stream, err := c.Watch(t.Context(), &healthpb.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			header, err := stream.Header()
			if err != nil {
				t.Fatal(err)
			}
			for kind, md := range map[string]metadata.MD{"unary": unary, "stream": header} {
				if got := len(md.Get(degraded)) == 1; got != want {
					t.Errorf("%s, %s: the header %v, want %v", when, kind, got, want)
				}
			}
		}
		wants("SERVING", whole, false)
		cache.set(errDown)
		time.Sleep(time.Minute)
		wants("cache down", whole, true)
		wants("cache down", orders, true)
		cache.set(nil)
		time.Sleep(time.Minute)
		become(t, s, health.Degraded)
		wants("DEGRADED by hand", whole, true)
		if err := s.SetStatus(health.NotServing, ""); err != nil {
			t.Fatal(err)
		}
		wants("NOT_SERVING", whole, false)
		become(t, s, health.Serving)
		wants("SERVING again", whole, false)
		wants("SERVING again", orders, false)
		if _, _, err := s.DegradedHeader("nobody"); err == nil {
			t.Error("an unknown name is accepted")
		}
	})
}

// TestDegradedHeaderCost: the interceptors allocate nothing while the server is not DEGRADED.
func TestDegradedHeaderCost(t *testing.T) {
	s := newServer(t, server.Config{})
	if err := s.SetStatus(health.Serving, ""); err != nil {
		t.Fatal(err)
	}
	unary, stream, err := s.DegradedHeader("")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	handle := func(context.Context, any) (any, error) { return nil, nil }
	handleStream := func(any, grpc.ServerStream) error { return nil }
	if n := testing.AllocsPerRun(100, func() {
		_, _ = unary(ctx, nil, nil, handle)
		_ = stream(nil, nil, nil, handleStream)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// BenchmarkDegradedHeader runs the unary interceptor while the server is not DEGRADED.
func BenchmarkDegradedHeader(b *testing.B) {
	s, err := server.New(server.Config{Service: service})
	if err != nil {
		b.Fatal(err)
	}
	unary, _, err := s.DegradedHeader("")
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	handle := func(context.Context, any) (any, error) { return nil, nil }
	b.ReportAllocs()
	for b.Loop() {
		_, _ = unary(ctx, nil, nil, handle)
	}
}
