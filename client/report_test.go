package client

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
)

// reporting registers an instance with a feed that the coordinator cannot reach.
func reporting(t *testing.T, w *world) (*Registration, *source) {
	t.Helper()
	s := newSource(t, 7, 0)
	s.publish("payments", health.Serving)
	w.registry.unreachable = true
	w.registry.dismiss = make(chan error)
	w.up()
	i := instance()
	i.Feed = s.Feed
	return mustRegister(t, w.client(), i), s
}

func last(list []*pb.ReportRequest) *pb.ReportRequest {
	if len(list) == 0 {
		return &pb.ReportRequest{}
	}
	return list[len(list)-1]
}

func TestReports(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r, s := reporting(t, w)
		wantEqual(t, "state before the first renewal", r.State(), StateRegistered)
		settle(10 * time.Second)
		wantEqual(t, "state", r.State(), StateReporting)
		wantCount(t, "reports", w.registry.reported(), 1, 1)
		first := w.registry.reported()[0]
		wantEqual(t, "lease", first.GetLeaseId(), "lease-1")
		wantEqual(t, "service", first.GetService(), "payments")
		wantEqual(t, "instance", first.GetInstance(), "a:1")
		wantEqual(t, "status", first.GetStatus(), pb.Status_STATUS_SERVING)

		s.publishReason("payments", health.Degraded, "secret")
		settle(0)
		wantCount(t, "reports", w.registry.reported(), 2, 2)
		wantEqual(t, "status", last(w.registry.reported()).GetStatus(), pb.Status_STATUS_DEGRADED)
		wantEqual(t, "reason", last(w.registry.reported()).GetReason(), "")

		settle(time.Minute)
		wantCount(t, "reports a minute later", w.registry.reported(), 7, 8)
	})
}

func TestReportsTellDetailsIfAllowed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSource(t, 7, 0)
		s.publishReason("payments", health.Degraded, "pool exhausted")
		i := instance()
		i.Feed, i.ShowReasons = s.Feed, true
		wantEqual(t, "reason", i.report(time.Now()).GetReason(), "pool exhausted")
	})
}

func TestReportOfWhatIsNotThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSource(t, 7, 0)
		i := instance()
		i.Feed, i.HealthName = s.Feed, "pay"
		wantEqual(t, "nothing yet", i.report(time.Now()).GetStatus(), pb.Status_STATUS_STARTING)
		s.publish("payments", health.Unknown)
		wantEqual(t, "unknown", i.report(time.Now()).GetStatus(), pb.Status_STATUS_STARTING)
		s.publish("payments", health.Serving)
		wantEqual(t, "the service", i.report(time.Now()).GetStatus(), pb.Status_STATUS_SERVING)
		s.publish("pay", health.NotServing)
		wantEqual(t, "the health name", i.report(time.Now()).GetStatus(), pb.Status_STATUS_NOT_SERVING)
	})
}

func TestReportsFollowTheHealthName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		s := newSource(t, 7, 0)
		s.publish("pay", health.Serving)
		w.registry.unreachable = true
		w.up()
		i := instance()
		i.Feed, i.HealthName = s.Feed, "pay"
		mustRegister(t, w.client(), i)
		settle(10 * time.Second)
		s.publish("pay", health.NotServing)
		settle(0)
		wantEqual(t, "status", last(w.registry.reported()).GetStatus(), pb.Status_STATUS_NOT_SERVING)
	})
}

// While the instance reports, the coordinator answers that it reaches the instance.
func TestReportsGoOnWhileTheStreamLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r, _ := reporting(t, w)
		settle(10 * time.Second)
		w.registry.do(func() { w.registry.unreachable = false })
		settle(10 * time.Minute)
		wantEqual(t, "state", r.State(), StateReporting)
		wantCount(t, "streams", w.registry.came("Report"), 1, 1)
		wantCount(t, "renewals", w.registry.came("Renew"), 60, 80)
	})
}

func TestReportsEndWhenDismissed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r, _ := reporting(t, w)
		settle(10 * time.Second)
		w.registry.do(func() { w.registry.unreachable = false })
		w.registry.dismiss <- nil
		settle(time.Hour)
		wantEqual(t, "state", r.State(), StateRegistered)
		wantCount(t, "streams", w.registry.came("Report"), 1, 1)
		w.registry.do(func() { w.registry.unreachable = true })
		settle(10 * time.Second)
		wantEqual(t, "state", r.State(), StateReporting)
	})
}

func TestReportsComeBackAfterACut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r, _ := reporting(t, w)
		settle(20 * time.Second)
		w.registry.do(func() { w.registry.unreachable = false })
		w.registry.dismiss <- unavailable
		settle(time.Second)
		wantEqual(t, "state", r.State(), StateReporting)
		wantCount(t, "streams", w.registry.came("Report"), 2, 2)
	})
}

func TestReportsStopIfItIsReachableAfterAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r, _ := reporting(t, w)
		settle(20 * time.Second)
		w.registry.do(func() { w.registry.unreachable = false })
		w.registry.set(failing(unavailable, "Report"))
		w.registry.dismiss <- unavailable
		settle(time.Minute)
		tries := len(w.registry.came("Report"))
		settle(time.Hour)
		wantCount(t, "further streams", w.registry.came("Report")[tries:], 0, 0)
		wantEqual(t, "state", r.State(), StateRegistered)
	})
}

func TestReportsBackOff(t *testing.T) {
	for name, script := range map[string]func(context.Context, string) error{
		"unavailable":   failing(unavailable, "Report"),
		"unimplemented": failing(status.Error(codes.Unimplemented, "no"), "Report"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.registry.set(script)
				reporting(t, w)
				settle(10 * time.Minute)
				wantCount(t, "streams in 10 min", w.registry.came("Report"), 40, 200)
			})
		})
	}
}

func TestReportLearnsOfTheLease(t *testing.T) {
	for name, end := range map[string]error{"unknown": domain.ErrLeaseUnknown, "superseded": domain.ErrSuperseded} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				reporting(t, w)
				settle(10 * time.Second)
				// This is just after a renewal.
				renewals := len(w.registry.came("Renew"))
				for len(w.registry.came("Renew")) == renewals {
					settle(100 * time.Millisecond)
				}
				w.registry.do(func() { clear(w.registry.leases) })
				w.registry.dismiss <- end
				settle(0)
				wantCount(t, "renewals", w.registry.came("Renew")[renewals+1:], 1, 1)
				wantCount(t, "registrations", w.registry.came("Register"), 2, 2)
				settle(10 * time.Second)
				wantEqual(t, "lease", last(w.registry.reported()).GetLeaseId(), "lease-2")
			})
		})
	}
}

func TestReportsWithoutAFeed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.registry.unreachable = true
		w.up()
		r := mustRegister(t, w.client(), instance())
		settle(time.Minute)
		wantEqual(t, "state", r.State(), StateRegistered)
		wantCount(t, "streams", w.registry.came("Report"), 0, 0)
	})
}

func TestCloseWhileReporting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r, _ := reporting(t, w)
		settle(10 * time.Second)
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		wantEqual(t, "leases", w.registry.held(), 0)
		wantEqual(t, "state", r.State(), StateEnded)
	})
}

func TestReportsOnADeadConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r, _ := reporting(t, w)
		settle(20 * time.Second)
		w.kill()
		settle(time.Minute)
		wantEqual(t, "state", r.State(), StateReporting)
		before := len(w.registry.reported())
		settle(time.Minute)
		wantCount(t, "reports", w.registry.reported()[before:], 6, 8)
	})
}
