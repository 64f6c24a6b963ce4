package watch

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// checkOnly has no Watch.
type checkOnly struct{ healthpb.HealthServer }

func (checkOnly) Watch(r *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return healthpb.UnimplementedHealthServer{}.Watch(r, s)
}

func (c checkOnly) register(g *grpc.Server) { healthpb.RegisterHealthServer(g, c) }

// ours serves an embedded server of ours.
func ours(t *testing.T, service string) (*server.Server, func(*grpc.Server)) {
	t.Helper()
	s, err := server.New(server.Config{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetStatus(health.Serving, ""); err != nil {
		t.Fatal(err)
	}
	return s, func(g *grpc.Server) { s.Register(g) }
}

// knows is a stock health server with these names; "" it always knows.
func knows(names ...string) (*stock.Server, func(*grpc.Server)) {
	s := stock.NewServer()
	for _, n := range names {
		s.SetServingStatus(n, healthpb.HealthCheckResponse_SERVING)
	}
	return s, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) }
}

// TestChain: the best protocol the target has is used, and the health name is
// the service's own, or "" where that is not known.
func TestChain(t *testing.T) {
	for what, c := range map[string]struct {
		register   func(t *testing.T) func(*grpc.Server)
		healthName string
		want       string
		mode       string
	}{
		"ours": {
			register: func(t *testing.T) func(*grpc.Server) { _, reg := ours(t, "pay"); return reg },
			want:     "pay/a: SERVING by meshhealth-watch", mode: "meshhealth-watch",
		},
		"ours, by another name": {
			register: func(t *testing.T) func(*grpc.Server) { _, reg := ours(t, "other"); return reg },
			want:     "pay/a: SERVING by meshhealth-watch", mode: "meshhealth-watch",
		},
		"ours, a health name it does not know": {
			register:   func(t *testing.T) func(*grpc.Server) { _, reg := ours(t, "pay"); return reg },
			healthName: "cart", want: "pay/a: unknown_name", mode: "meshhealth-watch",
		},
		"stock": {
			register: func(*testing.T) func(*grpc.Server) { _, reg := knows("pay"); return reg },
			want:     "pay/a: SERVING by grpc-watch", mode: "grpc-watch",
		},
		`stock, which knows only ""`: {
			register: func(*testing.T) func(*grpc.Server) { _, reg := knows(); return reg },
			want:     "pay/a: SERVING by grpc-watch", mode: "grpc-watch",
		},
		"stock, a health name": {
			register:   func(*testing.T) func(*grpc.Server) { _, reg := knows("pay", "cart"); return reg },
			healthName: "cart", want: "pay/a: SERVING by grpc-watch", mode: "grpc-watch",
		},
		"stock, a health name it does not know": {
			register:   func(*testing.T) func(*grpc.Server) { _, reg := knows("pay"); return reg },
			healthName: "cart", want: "pay/a: unknown_name", mode: "grpc-watch",
		},
		"Check only": {
			register: func(*testing.T) func(*grpc.Server) {
				s, _ := knows()
				return checkOnly{s}.register
			},
			want: "pay/a: SERVING by grpc-poll", mode: "grpc-poll",
		},
		"no health service": {
			register: func(*testing.T) func(*grpc.Server) { return func(*grpc.Server) {} },
			want:     "pay/a: unimplemented", mode: "connecting",
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.serve("host:1", c.register(t))
				r.register("pay/a", health.Spec{Address: "host:1", HealthName: c.healthName})
				r.are(r.take(), c.want)
				if modes := r.w.Modes(); modes[c.mode] != 1 || len(modes) != 1 {
					t.Errorf("modes %v, want one follower in %s", modes, c.mode)
				}
			})
		})
	}
}

// TestChangesCome: a flip is told when it happens, once.
func TestChangesCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s, reg := knows("pay")
		r.serve("host:1", reg)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.take()
		s.SetServingStatus("pay", healthpb.HealthCheckResponse_NOT_SERVING)
		got := r.take()
		r.are(got, "pay/a: NOT_SERVING by grpc-watch")
		if got[0].Lease != 0 || !got[0].since.IsZero() {
			t.Errorf("lease %d, since %v; want neither", got[0].Lease, got[0].since)
		}
		s.SetServingStatus("pay", healthpb.HealthCheckResponse_SERVING)
		r.are(r.take(), "pay/a: SERVING by grpc-watch")
	})
}

// TestChainBeginsAtTheTop: a target that comes back with more is followed by
// that.
func TestChainBeginsAtTheTop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, reg := knows("pay")
		stop := r.serve("host:1", reg)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.are(r.take(), "pay/a: SERVING by grpc-watch")
		stop()
		r.are(r.after(time.Second), "pay/a: refused")
		_, better := ours(t, "pay")
		r.serve("host:1", better)
		r.are(r.after(2*time.Second), "pay/a: SERVING by meshhealth-watch")
	})
}

// lies answers Watch with a status nobody knows.
type lies struct {
	healthpb.UnimplementedHealthServer
}

func (lies) Watch(_ *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	if err := s.Send(&healthpb.HealthCheckResponse{Status: 77}); err != nil {
		return err
	}
	<-s.Context().Done()
	return nil
}

// TestUnknownStatus: a status out of range is a matter of configuration, never
// green.
func TestUnknownStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.serve("host:1", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, lies{}) })
		r.register("pay/a", health.Spec{Address: "host:1"})
		got := r.take()
		r.are(got, "pay/a: unimplemented")
		if want := "the target answers with a status grpc.health.v1 does not have: 77"; got[0].Reason != want {
			t.Errorf("reason %q, want %q", got[0].Reason, want)
		}
	})
}

// strict is a health service that ends every Watch.
type strict struct {
	pb.UnimplementedHealthServiceServer
	err error
}

func (s strict) Watch(*pb.WatchRequest, grpc.ServerStreamingServer[pb.WatchResponse]) error {
	return s.err
}

// TestRefusedStreams: what the end of a stream that said nothing comes to, and
// whether the next protocol is tried.
func TestRefusedStreams(t *testing.T) {
	for code, want := range map[codes.Code]string{
		codes.Unimplemented:     "pay/a: SERVING by grpc-watch",
		codes.InvalidArgument:   "pay/a: SERVING by grpc-watch", // our names are against its rules
		codes.NotFound:          "pay/a: unknown_name",
		codes.Unauthenticated:   "pay/a: unauthenticated",
		codes.PermissionDenied:  "pay/a: unauthenticated",
		codes.ResourceExhausted: "pay/a: path",
		codes.Internal:          "pay/a: path",
	} {
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				_, reg := knows("pay")
				r.serve("host:1", func(g *grpc.Server) {
					reg(g)
					pb.RegisterHealthServiceServer(g, strict{err: status.Error(code, "no")})
				})
				r.register("pay/a", health.Spec{Address: "host:1"})
				r.are(r.take(), want)
			})
		})
	}
}
