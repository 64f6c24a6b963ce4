package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/server"
)

// The shortest program adds a check and registers the health services.
func Example() {
	g := grpc.NewServer()
	s, _ := server.New(server.Config{Service: "payments"})
	_ = s.Add(server.Check{Name: "db", Run: func(context.Context) error { return nil }})
	s.Register(g)
	fmt.Println(s.Status()) // until s.Run(ctx) has run each check once
	// Output: STARTING
}

// A service with gRPC and HTTP, from its start to a drain that cuts no call off.
func Example_service() {
	s, err := server.New(server.Config{
		Service:      "payments",
		OnTransition: func(c health.Change) { _ = c /* tell somebody */ },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.Add(
		server.Check{Name: "db", Run: func(context.Context) error { return nil }},
		server.Check{Name: "cache", OnFail: server.Degrade, Run: func(context.Context) error {
			return errors.New("refused")
		}, FailAfter: 1},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	g := grpc.NewServer(s.ServerOptions()...)
	s.Register(g)
	go func() { _ = g.Serve(l) }()

	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext(…, SIGTERM)
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	waitFor(s, health.Degraded)

	w := httptest.NewRecorder() // http.ListenAndServe(":8080", s.Handler())
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz?verbose", nil))
	fmt.Print(w.Body)

	fmt.Println("drained:", s.Stop(g, 15*time.Second))
	stop()
	fmt.Println("ended:", <-ended)
	// Output:
	// [+]db ok
	// [-]cache failed
	// readyz passed: DEGRADED
	// drained: <nil>
	// ended: <nil>
}

// waitFor returns when the names of s have these statuses.
func waitFor(s *server.Server, want ...health.Status) {
	are := func() bool {
		return slices.EqualFunc(s.Statuses(), want, func(s health.State, w health.Status) bool { return s.Status == w })
	}
	for r := s.Feed().NewReader(feed.Interest{}); !are(); {
		if _, err := r.Next(context.Background()); err != nil {
			return
		}
	}
}

// One process serves several names, and each name has checks of its own.
func Example_services() {
	s, err := server.New(server.Config{
		Service: "shop",
		Services: []server.Service{
			{Name: "shop.v1.Orders", Tags: []string{"orders"}},
			{Name: "shop.v1.Search", Checks: []string{"index"}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.Add(
		server.Check{Name: "db", Tags: []string{"orders"}, Run: func(context.Context) error { return errors.New("down") }},
		server.Check{Name: "index", Run: func(context.Context) error { return nil }},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	waitFor(s, health.NotServing, health.NotServing, health.Serving)
	for _, state := range s.Statuses() {
		fmt.Println(state.ID.Service, state.Status)
	}
	stop()
	<-ended
	// Output:
	// shop NOT_SERVING
	// shop.v1.Orders NOT_SERVING
	// shop.v1.Search SERVING
}

// The server replaces grpc-go's health server. Only the line that creates it changes.
// Checks can be added one by one, and the worst status counts.
func Example_migration() {
	// Before: h := health.NewServer(); healthpb.RegisterHealthServer(g, h)
	h, err := server.New(server.Config{Service: "payments"})
	if err != nil {
		fmt.Println(err)
		return
	}
	g := grpc.NewServer()
	h.Register(g)

	h.SetServingStatus("payments", healthpb.HealthCheckResponse_SERVING)
	fmt.Println(h.Status())
	h.SetServingStatus("payments", healthpb.HealthCheckResponse_NOT_SERVING)
	fmt.Println(h.Status())
	h.Shutdown()
	fmt.Println(h.Status())
	h.Resume() // SERVING, as with grpc-go; statuses of checks would count too
	fmt.Println(h.Status())
	// Output:
	// SERVING
	// NOT_SERVING
	// DRAINING
	// SERVING
}

// Replies say that the server is degraded, so that an Envoy sends it less.
func ExampleServer_DegradedHeader() {
	srv, _ := server.New(server.Config{Service: "payments"})
	if err := serveWithHeader(srv); err != nil {
		fmt.Println(err)
	}
	// Output: 2 services
}

func serveWithHeader(srv *server.Server) error {
	degradedUnary, degradedStream, err := srv.DegradedHeader("")
	if err != nil {
		return err
	}
	g := grpc.NewServer(
		grpc.ChainUnaryInterceptor(degradedUnary),
		grpc.ChainStreamInterceptor(degradedStream),
	)
	srv.Register(g)
	fmt.Println(len(g.GetServiceInfo()), "services")
	return nil
}
