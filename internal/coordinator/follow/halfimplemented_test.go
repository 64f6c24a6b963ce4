package follow

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

const (
	isServing    = healthpb.HealthCheckResponse_SERVING
	isNotServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// half is a hand-written health service. Its Check answers the true status. Each test
// defines its Watch.
type half struct {
	healthpb.UnimplementedHealthServer
	truth   atomic.Int32
	watches atomic.Int32
	watch   func(grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error
}

type halfStream = grpc.ServerStreamingServer[healthpb.HealthCheckResponse]

func newHalf(watch func(halfStream) error) *half {
	h := &half{watch: watch}
	h.truth.Store(int32(isServing))
	return h
}

func (h *half) register(g *grpc.Server) { healthpb.RegisterHealthServer(g, h) }

func (h *half) Check(context.Context, *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_ServingStatus(h.truth.Load())}, nil
}

func (h *half) Watch(_ *healthpb.HealthCheckRequest, s halfStream) error {
	h.watches.Add(1)
	return h.watch(s)
}

func sends(s halfStream, status healthpb.HealthCheckResponse_ServingStatus) error {
	return s.Send(&healthpb.HealthCheckResponse{Status: status})
}

func waits(s halfStream) error {
	<-s.Context().Done()
	return s.Context().Err()
}

// last returns the last status report of an instance.
func last(all []told) (r mesh.Report) {
	for _, e := range all {
		if e.Kind == mesh.EventReport {
			r = e.Report
		}
	}
	return r
}

// TestHalfImplementedWatch tests that an incorrect Watch does not count, and that the
// report says why the target is polled instead.
func TestHalfImplementedWatch(t *testing.T) {
	fails := func(code codes.Code) func(halfStream) error {
		return func(halfStream) error { return status.Error(code, "no") }
	}
	for what, watch := range map[string]func(halfStream) error{
		"OK at once":             func(halfStream) error { return nil },
		"UNKNOWN":                fails(codes.Unknown),
		"INTERNAL":               fails(codes.Internal),
		"UNAVAILABLE":            fails(codes.Unavailable),
		"UNIMPLEMENTED":          fails(codes.Unimplemented),
		"UNAUTHENTICATED":        fails(codes.Unauthenticated),
		"PERMISSION_DENIED":      fails(codes.PermissionDenied),
		"RESOURCE_EXHAUSTED":     fails(codes.ResourceExhausted),
		"NOT_FOUND":              fails(codes.NotFound),
		"CANCELLED":              fails(codes.Canceled),
		"DEADLINE_EXCEEDED":      fails(codes.DeadlineExceeded),
		"a constant, and ends":   func(s halfStream) error { return sends(s, isServing) },
		"a constant, and fails":  func(s halfStream) error { _ = sends(s, isServing); return status.Error(codes.Unknown, "no") },
		"a constant, stays open": func(s halfStream) error { _ = sends(s, isServing); return waits(s) },
		"silent":                 waits,
		"a constant, then UNAVAILABLE": func(s halfStream) error {
			_ = sends(s, isServing)
			return status.Error(codes.Unavailable, "no")
		},
		"a constant, then CANCELLED": func(s halfStream) error {
			_ = sends(s, isServing)
			return status.Error(codes.Canceled, "no")
		},
		"a constant twice, then RESOURCE_EXHAUSTED": func(s halfStream) error {
			_, _ = sends(s, isServing), sends(s, isServing)
			return status.Error(codes.ResourceExhausted, "no")
		},
		"a constant twice, then UNKNOWN": func(s halfStream) error {
			_, _ = sends(s, isServing), sends(s, isServing)
			return status.Error(codes.Unknown, "no")
		},
		"a constant, again and again": func(s halfStream) error {
			for s.Context().Err() == nil {
				_ = sends(s, isServing)
				select {
				case <-time.After(500 * time.Millisecond):
				case <-s.Context().Done():
				}
			}
			return nil
		},
		"SERVICE_UNKNOWN, stays open": func(s halfStream) error {
			_ = sends(s, healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
			return waits(s)
		},
		"a status that there is not, stays open": func(s halfStream) error { _ = sends(s, 7); return waits(s) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				h := newHalf(watch)
				r.serve("host:1", h.register)
				r.register("pay/a", health.Spec{Address: "host:1", Static: true})
				if got := last(r.after(15 * time.Second)); got.Status != health.Serving {
					t.Errorf("status %v, want SERVING", got.Status)
				}
				for _, truth := range []healthpb.HealthCheckResponse_ServingStatus{isNotServing, isServing, isNotServing} {
					h.truth.Store(int32(truth))
					got := last(r.after(15 * time.Second))
					if got.Status.GRPC() != int32(truth) || got.Source != health.SourcePoll || got.Via == "" {
						t.Errorf("status %v by %v (%q), want %v by a poll", got.Status, got.Source, got.Via, truth)
					}
				}
			})
		})
	}
}

// TestConstantIsNotBelievedAgain tests that a Watch which Check has contradicted does
// not count after a reconnect either, until it has sent a change that Check confirms.
func TestConstantIsNotBelievedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var mu sync.Mutex
		var open []chan healthpb.HealthCheckResponse_ServingStatus
		var works atomic.Bool
		var h *half
		h = newHalf(func(s halfStream) error {
			news := make(chan healthpb.HealthCheckResponse_ServingStatus, 8)
			mu.Lock()
			open = append(open, news)
			mu.Unlock()
			first := isServing
			if works.Load() {
				first = healthpb.HealthCheckResponse_ServingStatus(h.truth.Load())
			}
			_ = sends(s, first)
			for {
				select {
				case n := <-news:
					_ = sends(s, n)
				case <-s.Context().Done():
					return nil
				}
			}
		})
		h.truth.Store(int32(isNotServing))
		stop := r.serve("host:1", h.register)
		r.register("pay/a", health.Spec{Address: "host:1", Static: true})
		if got := last(r.after(20 * time.Second)); got.Status != health.NotServing || got.Source != health.SourcePoll {
			t.Fatalf("status %v by %v", got.Status, got.Source)
		}
		stop()
		r.serve("host:1", h.register)
		for _, e := range r.after(20 * time.Second) {
			if e.Kind == mesh.EventReport && e.Report.Status == health.Serving {
				t.Error("the contradicted Watch counts after a reconnect")
			}
		}
		// The Watch works from now on: it sends a change, and Check confirms that.
		works.Store(true)
		h.truth.Store(int32(isServing))
		r.after(10 * time.Second)
		h.truth.Store(int32(isNotServing))
		mu.Lock()
		for _, news := range open {
			news <- isNotServing
		}
		mu.Unlock()
		if got := last(r.after(20 * time.Second)); got.Status != health.NotServing || got.Source != health.SourceWatch {
			t.Errorf("status %v by %v, want NOT_SERVING by the Watch after its trial", got.Status, got.Source)
		}
		h.truth.Store(int32(isServing))
		mu.Lock()
		for _, news := range open {
			news <- isServing
		}
		mu.Unlock()
		if got := last(r.after(20 * time.Second)); got.Status != health.Serving || got.Source != health.SourceWatch {
			t.Errorf("status %v by %v, want SERVING by the Watch after its trial", got.Status, got.Source)
		}
	})
}

// TestWatchIsTriedAgain tests that a Watch which did not work is tried again after a
// minute, then less and less often, but every hour at least.
func TestWatchIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var works atomic.Bool
		h := newHalf(func(s halfStream) error {
			if !works.Load() {
				return status.Error(codes.PermissionDenied, "no")
			}
			_ = sends(s, isServing)
			return waits(s)
		})
		r.serve("host:1", h.register)
		r.register("pay/a", health.Spec{Address: "host:1", Static: true})
		r.after(24 * time.Hour)
		if n := h.watches.Load(); n < 24 || n > 40 {
			t.Errorf("%d attempts in a day", n)
		}
		works.Store(true)
		if got := last(r.after(time.Hour + time.Minute)); got.Source != health.SourceWatch || got.Via != "" {
			t.Errorf("followed by %v (%q), want a Watch", got.Source, got.Via)
		}
	})
}

// TestProtocol tests that only the requested protocol is used.
func TestProtocol(t *testing.T) {
	for asked, want := range map[health.Protocol]health.Source{
		health.ProtocolAuto: health.SourceMeshhealth, health.ProtocolMeshhealth: health.SourceMeshhealth,
		health.ProtocolWatch: health.SourceWatch, health.ProtocolCheck: health.SourcePoll,
	} {
		p := asked
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			_, reg := running(t, "pay")
			r.serve("host:1", reg)
			r.register("pay/a", health.Spec{Address: "host:1", Protocol: p})
			if got := last(r.after(2 * time.Hour)); got.Source != want {
				t.Errorf("%v: followed by %v, want %v", p, got.Source, want)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			var now atomic.Uint32
			now.Store(uint32(p))
			r := newRigWith(t, func(c *Config) { c.Protocol = func(string) health.Protocol { return health.Protocol(now.Load()) } })
			_, reg := running(t, "pay")
			r.serve("host:1", reg)
			r.register("pay/a", health.Spec{Address: "host:1"})
			if got := last(r.after(time.Minute)); got.Source != want {
				t.Errorf("%v, configured: followed by %v, want %v", p, got.Source, want)
			}
			now.Store(uint32(health.ProtocolCheck)) // the configuration changes
			if got := last(r.after(10 * time.Second)); got.Source != health.SourcePoll {
				t.Errorf("followed by %v after polls were configured", got.Source)
			}
		})
	}
}

// TestProtocolThatDoesNotWork tests that a requested protocol which is not implemented
// is reported.
func TestProtocolThatDoesNotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		h := newHalf(func(halfStream) error { return nil })
		r.serve("host:1", h.register)
		r.register("pay/a", health.Spec{Address: "host:1", Protocol: health.ProtocolMeshhealth})
		r.register("pay/b", health.Spec{Address: "host:1", Protocol: health.ProtocolWatch})
		for _, e := range r.after(time.Minute) {
			if e.Kind != mesh.EventConfig || e.Cause != health.CauseUnimplemented || e.Reason == "" {
				t.Errorf("evidence %v (%s), want unimplemented", e, e.Reason)
			}
		}
	})
}

// halfExtended is a hand-written meshhealth service beside a Check that answers the
// true status.
type halfExtended struct {
	pb.UnimplementedHealthServiceServer
	watch func(grpc.ServerStreamingServer[pb.WatchResponse]) error
}

func (h halfExtended) Watch(_ *pb.WatchRequest, s grpc.ServerStreamingServer[pb.WatchResponse]) error {
	return h.watch(s)
}

// TestHalfImplementedExtendedWatch is TestHalfImplementedWatch for the Watch of
// meshhealth.v1.
func TestHalfImplementedExtendedWatch(t *testing.T) {
	type stream = grpc.ServerStreamingServer[pb.WatchResponse]
	word := func(s stream) error {
		return s.Send(&pb.WatchResponse{
			Snapshot: true, SnapshotEnd: true, Entries: []*pb.Health{{Service: "pay", Status: pb.Status_STATUS_SERVING}},
		})
	}
	open := func(s stream) error { <-s.Context().Done(); return nil }
	for what, watch := range map[string]func(stream) error{
		"OK at once":               func(stream) error { return nil },
		"silent":                   open,
		"a word, and ends":         word,
		"a word, and no heartbeat": func(s stream) error { _ = word(s); return open(s) },
		"a word, then UNAVAILABLE": func(s stream) error { _ = word(s); return status.Error(codes.Unavailable, "no") },
		"an empty snapshot": func(s stream) error {
			_ = s.Send(&pb.WatchResponse{Snapshot: true, SnapshotEnd: true})
			return open(s)
		},
		"a status that there is not": func(s stream) error {
			_ = s.Send(&pb.WatchResponse{SnapshotEnd: true, Entries: []*pb.Health{{Service: "pay", Status: 99}}})
			return open(s)
		},
		"heartbeats only": func(s stream) error {
			for s.Context().Err() == nil {
				_ = s.Send(&pb.WatchResponse{})
				select {
				case <-time.After(time.Second):
				case <-s.Context().Done():
				}
			}
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				h := newHalf(func(halfStream) error { return status.Error(codes.Unimplemented, "no") })
				h.truth.Store(int32(isNotServing))
				r.serve("host:1", func(g *grpc.Server) {
					h.register(g)
					pb.RegisterHealthServiceServer(g, halfExtended{watch: watch})
				})
				r.register("pay/a", health.Spec{Address: "host:1", Static: true})
				got := last(r.after(50 * time.Second))
				if got.Status != health.NotServing || got.Source != health.SourcePoll || got.Via == "" {
					t.Errorf("status %v by %v (%q), want NOT_SERVING by a poll", got.Status, got.Source, got.Via)
				}
			})
		})
	}
}

// TestProbesOfThePath tests that a Check which fails on the path does not confirm an
// open, silent Watch. After such a Check only a new Watch counts.
func TestProbesOfThePath(t *testing.T) {
	for what, err := range map[string]error{
		"UNAVAILABLE":       status.Error(codes.Unavailable, "no"),
		"DEADLINE_EXCEEDED": status.Error(codes.DeadlineExceeded, "no"),
		"CANCELLED":         status.Error(codes.Canceled, "no"),
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				p := &probed{half: newHalf(func(s halfStream) error { _ = sends(s, isServing); return waits(s) })}
				r.serve("host:1", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, p) })
				r.register("pay/a", health.Spec{Address: "host:1", Static: true})
				r.after(30 * time.Second)
				p.fails.Store(&err)
				r.after(10 * time.Second)
				for _, e := range r.after(time.Minute) {
					if e.Kind != mesh.EventPath {
						t.Errorf("evidence %v, want a path fault", e)
					}
				}
				p.fails.Store(nil)
				got := r.after(20 * time.Second)
				if len(got) == 0 || got[0].Kind != mesh.EventReport || p.watches.Load() != 2 {
					t.Errorf("evidence %v from %d Watches, want the status of a second one", got, p.watches.Load())
				}
			})
		})
	}
}

// probed is a half whose Check may fail.
type probed struct {
	*half
	fails atomic.Pointer[error]
}

func (p *probed) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if err := p.fails.Load(); err != nil {
		return nil, *err
	}
	return p.half.Check(ctx, r)
}

// TestTrialTakesNoRoom tests that a Watch on trial does not prevent the Checks of a
// target that allows one stream.
func TestTrialTakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		h := newHalf(waits)
		r.serveWith("host:1", h.register, grpc.MaxConcurrentStreams(1))
		r.register("pay/a", health.Spec{Address: "host:1", Static: true})
		r.after(30 * time.Second)
		for _, e := range r.after(2 * time.Minute) {
			if e.Kind != mesh.EventReport || e.Report.Status != health.Serving {
				t.Errorf("evidence %v (%s)", e, e.Reason)
			}
		}
	})
}
