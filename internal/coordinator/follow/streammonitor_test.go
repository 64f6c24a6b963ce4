package follow

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// mute sends its status once for each Watch, and no heartbeats.
type mute struct {
	pb.UnimplementedHealthServiceServer
}

func (mute) Watch(_ *pb.WatchRequest, s grpc.ServerStreamingServer[pb.WatchResponse]) error {
	err := s.Send(&pb.WatchResponse{SnapshotEnd: true, Entries: []*pb.Health{{Service: "pay", Status: pb.Status_STATUS_SERVING}}})
	if err != nil {
		return err
	}
	<-s.Context().Done()
	return nil
}

// TestMissedHeartbeats tests that a stream ends after three missed heartbeats, that
// this is reported once, and that the stream is opened again.
func TestMissedHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.serve("host:1", func(g *grpc.Server) { pb.RegisterHealthServiceServer(g, mute{}) })
		began := time.Now()
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.expect(r.drain(), "pay/a: SERVING by meshhealth-watch")
		r.expect(r.after(health.DefaultUnreachableAfter - time.Millisecond))
		got := r.after(time.Second)
		r.expect(got, "pay/a: path", "pay/a: SERVING by meshhealth-watch")
		if d := got[0].at.Sub(began); d < health.DefaultUnreachableAfter || !got[0].since.IsZero() {
			t.Errorf("silent after %v; since %v, want zero, because our lateness is already subtracted", d, got[0].since)
		}
	})
}

// TestHeartbeats tests that heartbeats keep the stream of an idle target open.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s, reg := ours(t, "pay")
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.Run(ctx) })
		defer running.Wait()
		defer cancel()
		r.serve("host:1", reg)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.drain()
		got := r.after(time.Minute)
		if n := len(got); n < 11 || n > 13 || slices.ContainsFunc(got, not(mesh.EventAlive)) {
			t.Errorf("evidence %v in a minute, want 12 signs of life", got)
		}
	})
}

// slow is a stock server whose status does not change. It answers Check as the test
// says.
type slow struct {
	healthpb.UnimplementedHealthServer
	mu      sync.Mutex
	hangs   bool
	asked   bool
	watches int
}

func (s *slow) set(hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = hangs
}

func (s *slow) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watches
}

func (s *slow) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	s.mu.Lock()
	hangs, first := s.hangs, !s.asked
	s.asked = true
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if first { // older than the status of the Watch, like an answer on its way
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
}

func (s *slow) Watch(_ *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	s.mu.Lock()
	hangs := s.hangs
	if !hangs {
		s.watches++
	}
	s.mu.Unlock()
	if hangs {
		return waits(stream)
	}
	if err := stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// TestProbe tests that Check confirms a stock Watch, and that a single contradicting
// answer does not count. A Check without an answer is evidence against the path. After
// that only a new Watch counts.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := &slow{}
		r.serve("host:1", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) })
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.expect(r.drain(), "pay/a: NOT_SERVING by grpc-watch")
		if got := r.after(probeEvery + time.Second); len(got) == 0 || slices.ContainsFunc(got, not(mesh.EventAlive)) {
			t.Errorf("evidence %v, want signs of life", got)
		}
		s.set(true)
		got := r.after(probeEvery + checkTimeout + time.Second)
		if len(got) == 0 || slices.ContainsFunc(got, not(mesh.EventPath)) {
			t.Fatalf("evidence %v while the target answers no call", got)
		}
		if waited := got[0].at.Sub(got[0].since); waited != checkTimeout {
			t.Errorf("waited %v, want %v", waited, checkTimeout)
		}
		s.set(false)
		got = r.after(checkTimeout + 2*probeAgain)
		news := slices.IndexFunc(got, not(mesh.EventPath))
		if news < 0 || got[news].String() != "pay/a: NOT_SERVING by grpc-watch" || s.opened() < 2 {
			t.Errorf("evidence %v from %d Watches, want the status of another Watch", got, s.opened())
		}
	})
}

func not(kind mesh.EventKind) func(told) bool { return func(e told) bool { return e.Kind != kind } }

// TestPatience tests that a coordinator which is unwell waits longer for answers.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.score.Store(2)
		s := &slow{}
		s.set(true)
		r.serve("host:1", checkOnly{s}.register)
		r.register("pay/a", health.Spec{Address: "host:1"})
		const most = health.DefaultUnreachableAfter / 2
		got := r.after(most + time.Second)
		if len(got) != 1 || got[0].Kind != mesh.EventPath || got[0].at.Sub(got[0].since) != most {
			t.Errorf("evidence %v, want one timeout after %v", got, most)
		}
	})
}

// TestStreamMonitorLateness tests that our own lateness is subtracted from a silence,
// and that repeated lateness is subtracted up to the limit only.
func TestStreamMonitorLateness(t *testing.T) {
	now := time.Now()
	ended := 0
	quiet := func() *streamMonitor {
		return &streamMonitor{open: &monitoredStream{limit: 15 * time.Second, heardAt: now, end: func(error) { ended++ }}}
	}
	m := quiet()
	m.check(now.Add(60*time.Second), 50*time.Second)
	m.check(now.Add(64*time.Second), 0)
	if ended != 0 {
		t.Error("our own lateness has ended the stream")
	}
	m.check(now.Add(65*time.Second), 0)
	if ended != 1 {
		t.Errorf("ended %d times after its limit, want once", ended)
	}
	// The caller is late for two of every three seconds.
	m, ended = quiet(), 0
	for at := 3 * time.Second; at < 30*time.Second; at += 3 * time.Second {
		m.check(now.Add(at), 2*time.Second)
		m.check(now.Add(at+time.Second), 0)
	}
	if ended != 0 {
		t.Error("the stream ended before twice the limit")
	}
	if m.check(now.Add(30*time.Second), 0); ended != 1 {
		t.Error("repeated lateness hides a silence for longer than twice the limit")
	}
}
