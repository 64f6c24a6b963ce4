package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

func TestCheckAndListHaveCurrentFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{within: honouring(20 * time.Millisecond)}
		s := newServer(t, server.Config{Build: "v1"})
		add(t, s, server.Check{Name: "db", Run: func(ctx context.Context) error {
			server.Observe(ctx, 7, "conns")
			return p.run(ctx)
		}})
		client := pb.NewHealthServiceClient(serve(t, s).dial(t))
		start(t, s)
		time.Sleep(time.Minute)
		runs := uint64(len(p.runs()))
		revision := s.Feed().Revision()

		r, err := client.Check(t.Context(), &pb.CheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		l, err := client.List(t.Context(), &pb.ListRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if len(l.GetEntries()) != 1 || l.GetRevision() != revision {
			t.Fatalf("listed %v", l)
		}
		for _, h := range []*pb.Health{r.GetHealth(), l.GetEntries()[0]} {
			m, c := h.GetMetrics(), h.GetChecks()[0]
			if m.GetRuns() != runs || m.GetFailures() != 0 || m.GetResponseTimeP50().AsDuration() != 20*time.Millisecond ||
				m.GetResponseTimeP99().AsDuration() != 20*time.Millisecond {
				t.Errorf("metrics %v after %d runs", m, runs)
			}
			if c.GetRuns() != runs || c.GetObservedValue() != 7 || c.GetObservedUnit() != "conns" ||
				c.GetLastRunAge().AsDuration() > 11*time.Second || c.GetPasses() != uint32(runs) {
				t.Errorf("check %v after %d runs", c, runs)
			}
		}
	})
}

func TestReasonsAreForThoseWhoMaySeeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{ShowReasons: func(ctx context.Context) bool {
			md, _ := metadata.FromIncomingContext(ctx)
			return len(md.Get("friend")) > 0
		}})
		add(t, s, server.Check{Name: "db", Run: func(context.Context) error { return errDown }})
		client := pb.NewHealthServiceClient(serve(t, s).dial(t))
		start(t, s)
		for reason, ctx := range map[string]context.Context{
			"db: down":   metadata.AppendToOutgoingContext(t.Context(), "friend", "yes"),
			"db: failed": t.Context(),
		} {
			r, err := client.Check(ctx, &pb.CheckRequest{})
			if err != nil || r.GetHealth().GetReason() != reason || r.GetHealth().GetCause() != pb.Cause_CAUSE_FAILED {
				t.Errorf("%v, %v, want %q", r, err, reason)
			}
		}
	})
}

func TestDegradedNotServing(t *testing.T) {
	for policy, want := range map[bool]healthpb.HealthCheckResponse_ServingStatus{
		false: healthpb.HealthCheckResponse_SERVING, true: healthpb.HealthCheckResponse_NOT_SERVING,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, server.Config{DegradedNotServing: policy})
			if err := s.SetStatus(health.Degraded, ""); err != nil {
				t.Fatal(err)
			}
			r, err := healthpb.NewHealthClient(serve(t, s).dial(t)).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || r.GetStatus() != want {
				t.Errorf("%v, %v, want %v", r, err, want)
			}
		})
	}
}
