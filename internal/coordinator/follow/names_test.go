package follow

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
)

// strictNames answers a Watch of an unknown name with NOT_FOUND.
type strictNames struct{ *stock.Server }

func (s strictNames) Watch(r *healthpb.HealthCheckRequest, stream halfStream) error {
	if _, err := s.Check(context.Background(), r); err != nil {
		return status.Error(codes.NotFound, "no such name")
	}
	return s.Server.Watch(r, stream)
}

// TestName tests that "" replaces the health name only until that was known once.
func TestName(t *testing.T) {
	for what, wrap := range map[string]func(*stock.Server) healthpb.HealthServer{
		"watched": func(s *stock.Server) healthpb.HealthServer { return s },
		"strict":  func(s *stock.Server) healthpb.HealthServer { return strictNames{s} },
		"polled":  func(s *stock.Server) healthpb.HealthServer { return checkOnly{s} },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				serve := func(s *stock.Server) (stop func()) {
					return r.serve("host:1", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, wrap(s)) })
				}
				s := stock.NewServer() // "" is SERVING
				stop := serve(s)
				r.register("pay/a", health.Spec{Address: "host:1", Static: true})
				if got := last(r.after(20 * time.Second)); got.Status != health.Serving || got.Named {
					t.Errorf(`status %v, named %v; want SERVING of ""`, got.Status, got.Named)
				}
				s.SetServingStatus("", isNotServing)
				if got := last(r.after(20 * time.Second)); got.Status != health.NotServing || got.Named {
					t.Errorf(`status %v, named %v; want NOT_SERVING of ""`, got.Status, got.Named)
				}
				s.SetServingStatus("", isServing)
				r.after(20 * time.Second)
				s.SetServingStatus("pay", isNotServing)
				if got := last(r.after(20 * time.Second)); got.Status != health.NotServing || !got.Named {
					t.Errorf("status %v, named %v; want NOT_SERVING of the name", got.Status, got.Named)
				}
				s.SetServingStatus("", isNotServing)
				s.SetServingStatus("pay", isServing)
				if got := last(r.after(20 * time.Second)); got.Status != health.Serving || !got.Named {
					t.Errorf("status %v, named %v; want SERVING of the name", got.Status, got.Named)
				}
				// The target is deployed again, without its name.
				stop()
				stop = serve(stock.NewServer())
				r.after(5 * time.Second)
				unknown := 0
				for _, e := range r.after(2 * time.Minute) {
					if e.Kind != mesh.EventConfig || e.Cause != health.CauseUnknownName {
						t.Errorf("status %v of a name that is not known any more", e)
					}
					unknown++
				}
				stop()
				s = stock.NewServer()
				s.SetServingStatus("pay", isServing)
				serve(s)
				if got := last(r.after(20 * time.Second)); got.Status != health.Serving || !got.Named {
					t.Errorf("status %v, named %v; want SERVING of the name again", got.Status, got.Named)
				}
			})
		})
	}
}

// TestNameOfOurs is TestName for an embedded server. Its heartbeats confirm only what
// it has sent about the name.
func TestNameOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, reg := running(t, "pay")
		stop := r.serve("host:1", reg)
		r.register("pay/a", health.Spec{Address: "host:1", Static: true})
		if got := last(r.after(20 * time.Second)); got.Status != health.Serving || !got.Named {
			t.Errorf("status %v, named %v", got.Status, got.Named)
		}
		stop()
		_, reg = running(t, "cart")
		r.serve("host:1", reg)
		r.after(5 * time.Second)
		for _, e := range r.after(2 * time.Minute) {
			if e.Kind != mesh.EventConfig || e.Cause != health.CauseUnknownName {
				t.Errorf("status %v of a name that is not known any more", e)
			}
		}
	})
}

// TestNameIsRemembered tests that a new follower learns from the published state that
// the name was known.
func TestNameIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, reg := knows()
		r.serve("host:1", reg)
		r.publish(health.State{ID: health.ParseID("pay/a"), Named: true, Spec: &health.Spec{Address: "host:1"}})
		for _, e := range r.after(time.Minute) {
			if e.Kind != mesh.EventConfig || e.Cause != health.CauseUnknownName {
				t.Errorf("evidence %v", e)
			}
		}
	})
}
