package watch

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// mute says its status once per Watch, and then nothing: no heartbeats.
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

// TestMissedHeartbeats: three make a stream silent; it is ended, said once, and
// opened anew.
func TestMissedHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.serve("host:1", func(g *grpc.Server) { pb.RegisterHealthServiceServer(g, mute{}) })
		began := time.Now()
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.are(r.take(), "pay/a: SERVING by meshhealth-watch")
		r.are(r.after(health.DefaultUnreachableAfter - time.Millisecond))
		got := r.after(time.Second)
		r.are(got, "pay/a: path", "pay/a: SERVING by meshhealth-watch")
		if !got[0].since.Equal(began) {
			t.Errorf("silent since %v, want %v: when it was last heard", got[0].since, began)
		}
	})
}

// TestHeartbeats: an idle target of ours is heard of, and never ended.
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
		r.take()
		got := r.after(time.Minute)
		if n := len(got); n < 11 || n > 13 || slices.ContainsFunc(got, not(health.EventAlive)) {
			t.Errorf("in a minute %v, want 12 signs of life", got)
		}
	})
}

// slow is a stock server that says nothing new, and answers Check as told.
type slow struct {
	healthpb.UnimplementedHealthServer
	mu      sync.Mutex
	hangs   bool
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
	hangs := s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	// Older than what the Watch says, as an answer on its way may be.
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

func (s *slow) Watch(_ *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	s.mu.Lock()
	s.watches++
	s.mu.Unlock()
	if err := stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// TestProbe: a stock Watch is proven alive by Check, whose answer itself is
// never believed; none in time is evidence against the path, and after that
// only a new Watch is believed.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := &slow{}
		r.serve("host:1", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, s) })
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.are(r.take(), "pay/a: NOT_SERVING by grpc-watch")
		if got := r.after(probeEvery + time.Second); len(got) == 0 || slices.ContainsFunc(got, not(health.EventAlive)) {
			t.Errorf("told %v, want signs of life", got)
		}
		s.set(true)
		got := r.after(probeEvery + checkTimeout + time.Second)
		if len(got) == 0 || slices.ContainsFunc(got, not(health.EventPath)) {
			t.Fatalf("told %v while Check hangs", got)
		}
		if waited := got[0].at.Sub(got[0].since); waited != checkTimeout {
			t.Errorf("waited %v, want %v", waited, checkTimeout)
		}
		s.set(false)
		got = r.after(checkTimeout + 2*probeAgain)
		news := slices.IndexFunc(got, not(health.EventPath))
		if news < 0 || got[news].String() != "pay/a: NOT_SERVING by grpc-watch" || s.opened() != 2 {
			t.Errorf("told %v over %d Watches, want the status of a second", got, s.opened())
		}
	})
}

func not(kind health.EventKind) func(told) bool { return func(e told) bool { return e.Kind != kind } }

// TestPatience: who is not well himself waits longer for answers, and for dials.
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
		if len(got) != 1 || got[0].Kind != health.EventPath || got[0].at.Sub(got[0].since) != most {
			t.Errorf("told %v, want one time-out after %v", got, most)
		}
	})
}

// TestLateLook: when we ourselves come late, no silence is held against anyone.
func TestLateLook(t *testing.T) {
	now := time.Now()
	ended := 0
	f := &follower{silence: &silence{limit: 15 * time.Second, since: now.Add(-time.Minute), end: func(error) { ended++ }}}
	f.look(now, true)
	f.look(now.Add(14*time.Second), false)
	if ended != 0 {
		t.Error("ended by our own lateness")
	}
	f.look(now.Add(15*time.Second), false)
	if ended != 1 {
		t.Errorf("ended %d times after its limit, want once", ended)
	}
}
