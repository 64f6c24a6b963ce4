package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/server"
)

const (
	up      = healthpb.HealthCheckResponse_SERVING
	down    = healthpb.HealthCheckResponse_NOT_SERVING
	unknown = healthpb.HealthCheckResponse_UNKNOWN
)

// setter has the methods of grpc-go's health server that programs call.
type setter interface {
	SetServingStatus(service string, status healthpb.HealthCheckResponse_ServingStatus)
	Shutdown()
	Resume()
}

var (
	_ setter = (*stock.Server)(nil)
	_ setter = (*server.Server)(nil)
)

// TestInPlaceOfTheStockServer: the same calls have the same answers.
func TestInPlaceOfTheStockServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		client := healthpb.NewHealthClient(serve(t, s).dial(t))
		is := func(name string, want healthpb.HealthCheckResponse_ServingStatus) {
			t.Helper()
			r, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
			if err != nil || r.GetStatus() != want {
				t.Errorf("%q: %v, %v; want %v", name, r, err, want)
			}
		}
		s.SetServingStatus("", up)
		s.SetServingStatus("orders.v1.Orders", down)
		is("", up)
		is(service, up)
		is("orders.v1.Orders", down)
		s.SetServingStatus("orders.v1.Orders", unknown)
		is("orders.v1.Orders", unknown)
		s.Shutdown()
		is("", down)
		is("orders.v1.Orders", down)
		s.SetServingStatus("", up) // ignored by both servers
		is("", down)
		s.Resume()
		is("", up)
		is("orders.v1.Orders", up)
		s.SetServingStatus("no/such name", up)
		if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "no/such name"}); err == nil {
			t.Error("a name that is none was taken")
		}
	})
}

// TestResumeRestoresWhatWasFound: after Resume the present statuses of checks count, not
// those before Shutdown.
func TestResumeRestoresWhatWasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: p.run})
		client := healthpb.NewHealthClient(serve(t, s).dial(t))
		start(t, s)
		s.Shutdown()
		p.set(errDown)
		time.Sleep(time.Minute)
		s.Resume()
		if r, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || r.GetStatus() != down {
			t.Errorf("%v, %v; want what the check says", r, err)
		}
	})
}

// slowStop is a gRPC server whose calls take this long.
type slowStop struct {
	takes   time.Duration
	stopped chan struct{}
}

func (s *slowStop) GracefulStop() {
	select {
	case <-time.After(s.takes):
	case <-s.stopped:
	}
}

func (s *slowStop) Stop() { close(s.stopped) }

// TestStop: Stop drains first and cuts off calls that take too long.
func TestStop(t *testing.T) {
	for takes, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Minute: 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			drained := false
			s := newServer(t, server.Config{OnDrain: []func(context.Context) error{
				func(context.Context) error { drained = true; return nil },
			}})
			began := time.Now()
			err := s.Stop(&slowStop{takes, make(chan struct{})}, 10*time.Second)
			if took := time.Since(began); took != want || !drained {
				t.Errorf("took %v, want %v; drained %v", took, want, drained)
			}
			if cut := err != nil && strings.Contains(err.Error(), "calls were cut off after 10s"); cut != (takes > want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestStuckChecksAreNamed: the error of Drain names checks that have not returned.
func TestStuckChecksAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "hung", Run: func(context.Context) error { <-release; return nil }}, server.Check{Name: "db", Run: pass})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(time.Minute)
		for what, err := range map[string]error{"Drain": s.Drain(t.Context()), "Run": func() error { stop(); return <-ended }()} {
			if !errors.Is(err, server.ErrStuck) || err.Error() != "check hung: has not returned" {
				t.Errorf("%s: %v", what, err)
			}
		}
		close(release)
	})
}
