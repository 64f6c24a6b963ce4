package follow

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// checkOnly implements Check and no Watch.
type checkOnly struct{ healthpb.HealthServer }

func (checkOnly) Watch(r *healthpb.HealthCheckRequest, s grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return healthpb.UnimplementedHealthServer{}.Watch(r, s)
}

func (c checkOnly) register(g *grpc.Server) { healthpb.RegisterHealthServer(g, c) }

// ours returns an embedded server of ours that does not run.
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

// running is like ours, and runs, so that the server sends heartbeats.
func running(t *testing.T, service string) (*server.Server, func(*grpc.Server)) {
	s, reg := ours(t, service)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s, reg
}

// addFlapping adds checks whose observed values change with every run.
func addFlapping(t *testing.T, s *server.Server, n int) {
	t.Helper()
	for i := range n {
		runs := 0
		if err := s.Add(server.Check{Name: fmt.Sprint("c", i), Every: time.Second, Run: func(context.Context) error {
			if runs++; runs%2 == 0 {
				return health.Warnf("run %d", runs)
			}
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
	}
}

// knows returns a stock health server that knows these names, and always "".
func knows(names ...string) (*stock.Server, func(*grpc.Server)) {
	s := stock.NewServer()
	for _, n := range names {
		s.SetServingStatus(n, healthpb.HealthCheckResponse_SERVING)
	}
	return s, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) }
}

// TestChain tests that the best protocol of the target is used. The health name is that
// of the service, or "" if the target does not know that.
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
				r.expect(r.drain(), c.want)
				if modes := r.manager.Modes(); modes[c.mode] != 1 || len(modes) != 1 {
					t.Errorf("modes %v, want one follower in %s", modes, c.mode)
				}
			})
		})
	}
}

// TestChangesCome tests that each change of the status is reported once, when it
// occurs.
func TestChangesCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s, reg := knows("pay")
		r.serve("host:1", reg)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.drain()
		s.SetServingStatus("pay", healthpb.HealthCheckResponse_NOT_SERVING)
		got := r.drain()
		r.expect(got, "pay/a: NOT_SERVING by grpc-watch")
		if got[0].Lease != 0 || !got[0].since.IsZero() {
			t.Errorf("lease %d, since %v; want neither", got[0].Lease, got[0].since)
		}
		s.SetServingStatus("pay", healthpb.HealthCheckResponse_SERVING)
		r.expect(r.drain(), "pay/a: SERVING by grpc-watch")
	})
}

// TestChainBeginsAtTheTop tests that a target which restarts with a better protocol is
// followed by that.
func TestChainBeginsAtTheTop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, reg := knows("pay")
		stop := r.serve("host:1", reg)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.expect(r.drain(), "pay/a: SERVING by grpc-watch")
		stop()
		r.expect(r.after(time.Second), "pay/a: refused")
		_, better := ours(t, "pay")
		r.serve("host:1", better)
		r.expect(r.after(2*time.Second), "pay/a: SERVING by meshhealth-watch")
	})
}

// lies answers Watch with a status that grpc.health.v1 does not have.
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

// TestUnknownStatus tests that a status out of range is malformed, and that the answer
// of Check then counts.
func TestUnknownStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.serve("host:1", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, lies{}) })
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.expect(r.drain(), "pay/a: unimplemented")
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		h := newHalf(func(s halfStream) error { _ = sends(s, 77); return waits(s) })
		h.truth.Store(77)
		r.serve("host:1", h.register)
		r.register("pay/a", health.Spec{Address: "host:1"})
		got := r.after(5 * time.Second)
		for _, e := range got {
			if want := "the target answers with a status grpc.health.v1 does not have: 77"; e.Kind != mesh.EventMalformed || e.Reason != want {
				t.Errorf("evidence %v (%s)", e, e.Reason)
			}
		}
		if len(got) < 2 {
			t.Errorf("%d pieces of evidence, want several", len(got))
		}
	})
}

// strict is a health service that refuses every Watch.
type strict struct {
	pb.UnimplementedHealthServiceServer
	err error
}

func (s strict) Watch(*pb.WatchRequest, grpc.ServerStreamingServer[pb.WatchResponse]) error {
	return s.err
}

// TestRefusedStreams tests that a stream without a message is no evidence, however it
// ends, and that the next protocol is tried.
func TestRefusedStreams(t *testing.T) {
	for _, code := range []codes.Code{
		codes.OK, codes.Unimplemented, codes.InvalidArgument, codes.NotFound, codes.Unauthenticated, codes.PermissionDenied,
		codes.ResourceExhausted, codes.Internal, codes.Unknown, codes.Unavailable, codes.Aborted,
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
				r.expect(r.drain(), "pay/a: SERVING by grpc-watch")
			})
		})
	}
}
