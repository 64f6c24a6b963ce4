package check_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	ours "github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/check"
)

// other is a server that the check asks.
type other struct {
	conn *grpc.ClientConn
	grpc *grpc.Server
}

func upstream(t *testing.T, register func(*grpc.Server), options ...grpc.ServerOption) *other {
	t.Helper()
	l := bufconn.Listen(64 << 10)
	o := &other{grpc: grpc.NewServer(options...)}
	register(o.grpc)
	done := make(chan struct{})
	go func() { defer close(done); _ = o.grpc.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///mem", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	o.conn = conn
	t.Cleanup(func() { conn.Close(); o.grpc.Stop(); <-done })
	return o
}

func wantChecked(t *testing.T, s *server.Server, want ours.Status, reason string) {
	t.Helper()
	synctest.Wait()
	if got := s.Checks()[0]; got.Status != want || got.Reason != reason {
		t.Errorf("%v (%s), want %v (%s)", got.Status, got.Reason, want, reason)
	}
}

// rarely is a check with a long interval, so that only Watch can report a change soon.
func rarely(run check.Func) server.Check {
	return server.Check{Name: "orders", Run: run, Every: 1000 * time.Hour, FailAfter: 1, RecoverAfter: 1}
}

// TestGRPCIsTold: the Watch of a meshhealth server reports each change at once.
func TestGRPCIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up, err := server.New(server.Config{Service: "orders", ShowReasons: func(context.Context) bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		set := func(status ours.Status, reason string) {
			if err := up.SetStatus(status, reason); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		set(ours.Serving, "")
		o := upstream(t, func(g *grpc.Server) { up.Register(g) })
		s := inServer(t, rarely(check.GRPC(o.conn, "orders")))
		time.Sleep(time.Second)
		wantChecked(t, s, ours.Serving, "")
		set(ours.Degraded, "slow")
		wantChecked(t, s, ours.Degraded, "it is DEGRADED: slow")
		set(ours.NotServing, "gone")
		wantChecked(t, s, ours.NotServing, "it is NOT_SERVING: gone")
		set(ours.Serving, "")
		wantChecked(t, s, ours.Serving, "")
		if runs := s.Checks()[0].Runs; runs != 4 {
			t.Errorf("%d runs, want the first and one for each change", runs)
		}
	})
}

// TestGRPCIsToldByAStockServer: the Watch of grpc.health.v1 reports changes too.
func TestGRPCIsToldByAStockServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := health.NewServer()
		up.SetServingStatus("orders", healthpb.HealthCheckResponse_SERVING)
		o := upstream(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, up) })
		s := inServer(t, rarely(check.GRPC(o.conn, "orders")))
		time.Sleep(time.Second)
		wantChecked(t, s, ours.Serving, "")
		up.SetServingStatus("orders", healthpb.HealthCheckResponse_NOT_SERVING)
		time.Sleep(time.Second)
		wantChecked(t, s, ours.NotServing, "it is NOT_SERVING")
		up.SetServingStatus("orders", healthpb.HealthCheckResponse_SERVING)
		time.Sleep(time.Second)
		wantChecked(t, s, ours.Serving, "")
	})
}

// polled has Check, but no Watch.
type polled struct {
	healthpb.UnimplementedHealthServer
	status healthpb.HealthCheckResponse_ServingStatus
}

func (p *polled) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{Status: p.status}, nil
}

// TestGRPCFallsBack: without a Watch, the runs find changes.
func TestGRPCFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &polled{status: healthpb.HealthCheckResponse_SERVING}
		o := upstream(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, up) })
		s := inServer(t, server.Check{Name: "orders", Run: check.GRPC(o.conn, ""), FailAfter: 1})
		time.Sleep(time.Minute)
		wantChecked(t, s, ours.Serving, "")
		if runs := s.Checks()[0].Runs; runs < 5 || runs > 9 {
			t.Errorf("%d runs in a minute, want one every 10 s", runs)
		}
		o.grpc.Stop()
		time.Sleep(20 * time.Second)
		if got := s.Checks()[0].Status; got != ours.NotServing {
			t.Errorf("%v after it has stopped", got)
		}
	})
}

// TestGRPCRefusals: the error names the problem.
func TestGRPCRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := upstream(t, func(*grpc.Server) {})
		wantEvidence(t, "no health", check.GRPC(none.conn, ""), machine.Fail, "neither meshhealth.v1 nor grpc.health.v1")
		stock := upstream(t, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, health.NewServer()) })
		wantEvidence(t, "unknown", check.GRPC(stock.conn, "nobody"), machine.Fail, "NotFound")
		wantEvidence(t, "known", check.GRPC(stock.conn, ""), machine.Pass)
	})
}
