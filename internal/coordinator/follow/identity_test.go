package follow

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// onlyCheck is a service that refuses all streams.
func onlyCheck() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.StreamInterceptor(func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error {
		return status.Error(codes.Unauthenticated, "no")
	})}
}

// TestProofs tests, for each protocol, what the proof in an answer means.
func TestProofs(t *testing.T) {
	key, err := health.KeyFrom(bytes.Repeat([]byte{7}, health.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []health.Protocol{health.ProtocolMeshhealth, health.ProtocolWatch, health.ProtocolCheck} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			s, reg := running(t, "pay")
			r.serve("host:1", reg)
			_, reg = knows("pay")
			r.serve("host:2", reg)
			own := s.Feed().Key()
			r.register("pay/own", health.Spec{Address: "host:1", Protocol: p, Key: own, Proves: true})
			r.register("pay/other", health.Spec{Address: "host:1", Protocol: p, Key: key, Proves: true})
			r.register("pay/keyless", health.Spec{Address: "host:1", Protocol: p})
			if p != health.ProtocolMeshhealth {
				r.register("pay/stock", health.Spec{Address: "host:2", Protocol: p, Key: key, Proves: true})
			}
			seen := map[string]bool{}
			for _, e := range r.after(time.Minute) {
				seen[e.ID.Instance] = true
				switch e.ID.Instance {
				case "own":
					if !e.Proven {
						t.Errorf("%v: %v is not proven", p, e)
					}
				case "other":
					if e.Kind != mesh.EventStranger {
						t.Errorf("%v: evidence %v from another process", p, e)
					}
				default:
					if e.Proven || e.Session == 0 {
						t.Errorf("%v: evidence %v, proven %v, session %d", p, e, e.Proven, e.Session)
					}
				}
			}
			if len(seen) < 3 {
				t.Errorf("%v: evidence about %v only", p, seen)
			}
			if n := len(r.dialled("host:1")); n < 2 {
				t.Errorf("%v: %d connections, want a separate one for the instance that met another process", p, n)
			}
		})
	}
}

// TestSessions tests that all answers on one stream or connection have the same session
// number, and no other answers have it. Answers through a proxy have none.
func TestSessions(t *testing.T) {
	for _, p := range []health.Protocol{health.ProtocolMeshhealth, health.ProtocolWatch, health.ProtocolCheck} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			_, reg := running(t, "pay")
			stop := r.serve("host:1", reg)
			r.register("pay/a", health.Spec{Address: "host:1", Protocol: p})
			first := sessions(r.after(time.Minute))
			stop()
			_, reg = running(t, "pay")
			r.serve("host:1", reg)
			second := sessions(r.after(time.Minute))
			if len(first) != 1 || len(second) != 1 || first[0] == second[0] || first[0] == 0 || second[0] == 0 {
				t.Errorf("%v: sessions %v, then %v; want one each", p, first, second)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.serve("host:1", checkOnly{proxied{}}.register)
		r.register("pay/a", health.Spec{Address: "host:1"})
		if got := sessions(r.after(time.Minute)); !slices.Equal(got, []uint64{0}) {
			t.Errorf("through a proxy: sessions %v, want none", got)
		}
	})
}

func sessions(all []told) (numbers []uint64) {
	for _, e := range all {
		if e.Kind == mesh.EventReport || e.Kind == mesh.EventAlive {
			numbers = append(numbers, e.Session)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// proxied answers as through a proxy.
type proxied struct {
	healthpb.UnimplementedHealthServer
}

func (proxied) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	_ = grpc.SetHeader(ctx, metadata.Pairs("via", "1.1 proxy"))
	return &healthpb.HealthCheckResponse{Status: isServing}, nil
}

// TestTurnedAway tests a target that refuses all methods except Check. The trailers of
// Check give the precise status. A less precise answer does not replace an earlier
// status on the connection.
func TestTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s, reg := running(t, "pay")
		r.serveWith("host:1", reg, onlyCheck()...)
		r.register("pay/a", health.Spec{Address: "host:1"})
		for _, want := range []health.Status{
			health.Serving, health.Degraded, health.Serving, health.Maintenance, health.Serving, health.NotServing,
		} {
			if err := s.SetStatus(want, "because"); err != nil {
				t.Fatal(err)
			}
			if got := last(r.after(10 * time.Second)); got.Status != want || got.Source != health.SourcePoll {
				t.Errorf("status %v by %v, want %v by a poll", got.Status, got.Source, want)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s, reg := running(t, "pay")
		r.serve("host:1", reg)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.drain()
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.after(time.Minute) {
			if e.Kind != mesh.EventAlive && (e.Kind != mesh.EventReport || e.Report.Status != health.Draining) {
				t.Errorf("status %v of a target that drains", e)
			}
		}
	})
}

// alwaysTrailers answers as servers of earlier versions do: with trailers for every status.
type alwaysTrailers struct {
	healthpb.UnimplementedHealthServer
	mu    sync.Mutex
	state health.State
}

func (a *alwaysTrailers) set(s health.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = s
}

func (a *alwaysTrailers) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := healthpb.HealthCheckResponse_ServingStatus(a.state.Status.GRPC())
	return &healthpb.HealthCheckResponse{Status: s}, grpc.SetTrailer(ctx, metadata.Pairs(
		wire.TrailerStatus, a.state.Status.String(), wire.TrailerCause, a.state.Cause.String(), wire.TrailerUnconfirmed, "false",
	))
}

// TestTrailersOfEarlierVersions tests that SERVING is read the same with trailers, which
// earlier versions send, and without.
func TestTrailersOfEarlierVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a := &alwaysTrailers{}
		r.serve("host:1", func(g *grpc.Server) { healthpb.RegisterHealthServer(g, a) })
		a.set(health.State{Status: health.Serving, Cause: health.CauseOK})
		r.register("pay/a", health.Spec{Address: "host:1"})
		for _, want := range []health.State{
			{Status: health.Serving, Cause: health.CauseOK},
			{Status: health.Degraded, Cause: health.CauseWarned},
			{Status: health.Serving, Cause: health.CauseOK},
			{Status: health.NotServing, Cause: health.CauseTimeout},
		} {
			a.set(want)
			if got := last(r.after(10 * time.Second)); got.Status != want.Status || got.Cause != want.Cause || got.Source != health.SourcePoll {
				t.Errorf("%v %v by %v, want %v %v by a poll", got.Status, got.Cause, got.Source, want.Status, want.Cause)
			}
		}
	})
}
