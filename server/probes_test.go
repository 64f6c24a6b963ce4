package server_test

import (
	"context"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// TestServeHealth: the listener serves only the health services until the context ends.
// The bubble fails if a goroutine is left.
func TestServeHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		if err := s.SetStatus(health.Serving, ""); err != nil {
			t.Fatal(err)
		}
		l := bufconn.Listen(64 << 10)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.ServeHealth(ctx, l) }()
		conn := (&grpcServer{listener: l}).dial(t)
		resp, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%v %v", resp.GetStatus(), err)
		}
		if err := conn.Invoke(t.Context(), "/payments.Payments/Pay", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("something else is answered: %v", err)
		}
		watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("ServeHealth: %v", err)
		}
		if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the Watch ends with %v", err)
		}
	})
}

// TestServeHealthOnAClosedListener: ServeHealth returns the error of the listener.
func TestServeHealthOnAClosedListener(t *testing.T) {
	l := bufconn.Listen(1)
	l.Close()
	if err := newServer(t, server.Config{}).ServeHealth(t.Context(), l); err == nil {
		t.Error("no error")
	}
}
