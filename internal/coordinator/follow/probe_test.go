package follow

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/health"
)

// hangingCheck is a hand-written health service. Its Watch sends the true status. Its
// Check never answers.
type hangingCheck struct {
	healthpb.UnimplementedHealthServer
	truth   chan healthpb.HealthCheckResponse_ServingStatus
	hangs   atomic.Bool // the Watch does not answer either
	checked atomic.Int32
}

func (h *hangingCheck) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	h.checked.Add(1)
	<-ctx.Done()
	return nil, ctx.Err()
}

func (h *hangingCheck) Watch(_ *healthpb.HealthCheckRequest, s halfStream) error {
	if h.hangs.Load() {
		return waits(s)
	}
	_ = sends(s, isServing)
	for {
		select {
		case now := <-h.truth:
			_ = sends(s, now)
		case <-s.Context().Done():
			return nil
		}
	}
}

// TestHangingCheck tests that a target whose Check hangs is alive: the first status of
// a second Watch is the sign of life.
func TestHangingCheck(t *testing.T) {
	for _, name := range []string{"", "pay"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			h := &hangingCheck{truth: make(chan healthpb.HealthCheckResponse_ServingStatus)}
			r.serve("host:1", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, h) })
			r.register("pay/a", health.Spec{Address: "host:1", HealthName: name})
			alive := 0
			for _, e := range r.after(10 * time.Minute) {
				switch e.Kind {
				case mesh.EventAlive:
					alive++
				case mesh.EventReport:
					if e.Report.Source != health.SourceWatch || e.Report.Status != health.Serving {
						t.Errorf("evidence %+v", e)
					}
				default:
					t.Errorf("evidence %v (%s)", e.Kind, e.Reason)
				}
			}
			if alive < 30 || h.checked.Load() < 30 {
				t.Errorf("%d signs of life by %d Checks in 10 min", alive, h.checked.Load())
			}
			h.truth <- isNotServing
			if got := last(r.after(time.Second)); got.Status != health.NotServing {
				t.Errorf("status %v after a change", got.Status)
			}
		})
	}
}

// TestHangingCheckAndWatch tests that the path is at fault after the timeout of Check,
// if neither Check nor Watch answers.
func TestHangingCheckAndWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		h := &hangingCheck{truth: make(chan healthpb.HealthCheckResponse_ServingStatus)}
		r.serve("host:1", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, h) })
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.after(time.Minute)
		h.hangs.Store(true)
		for _, e := range r.after(15 * time.Second) {
			if e.Kind == mesh.EventPath {
				if wait := e.at.Sub(e.since); wait != checkTimeout {
					t.Errorf("evidence after a wait of %v, want %v", wait, checkTimeout)
				}
				return
			}
		}
		t.Error("no evidence against the path")
	})
}
