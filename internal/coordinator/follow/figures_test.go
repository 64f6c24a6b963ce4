package follow

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// measuredTarget is a target that counts the messages of its streams and the streams that it refuses.
type measuredTarget struct {
	runs, sent, refused atomic.Int64
	old                 bool // true if it refuses figures_every, as earlier versions do
	named               bool // true if it knows the service pay, and not only the name ""
}

// register adds the health services to a server, and lets its feed beat until the test ends.
func (m *measuredTarget) register(t *testing.T, g *grpc.Server) {
	f := feed.New(7, 0)
	states := []health.State{{Status: health.Serving, Cause: health.CauseOK, Revision: 1, Metrics: &health.Metrics{Runs: 1}}}
	if m.named {
		states[0].ID.Service = "pay"
	}
	f.Publish([]health.Change{{State: states[0], Epoch: 7, At: time.Now()}})
	cfg := grpchealth.Config{Feed: f}
	if !m.old {
		cfg.Figures = func(health.ID) *health.Metrics { return &health.Metrics{Runs: uint64(m.runs.Add(1))} }
	}
	grpchealth.New(cfg).Register(g)
	go func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-t.Context().Done():
				tick.Stop()
				return
			case <-tick.C:
				f.Beat()
			}
		}
	}()
}

// intercept counts messages, and refuses what an earlier version would refuse.
func (m *measuredTarget) intercept(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return handle(srv, &countedStream{ss, m})
}

type countedStream struct {
	grpc.ServerStream
	m *measuredTarget
}

func (s *countedStream) SendMsg(message any) error {
	s.m.sent.Add(1)
	return s.ServerStream.SendMsg(message)
}

func (s *countedStream) RecvMsg(message any) error {
	err := s.ServerStream.RecvMsg(message)
	if req, ok := message.(*pb.WatchRequest); ok && err == nil && req.GetFiguresEvery() != nil && s.m.old {
		s.m.refused.Add(1)
		return wire.GRPC(fmt.Errorf("figures_every: %w; figures come with changes, and with Check and List", domain.ErrLater))
	}
	return err
}

// TestFiguresOfTargets: the follower keeps the newest figures of a target, and they cause no evidence
// but a sign of life. A target of an earlier version is followed without figures.
func TestFiguresOfTargets(t *testing.T) {
	for name, m := range map[string]*measuredTarget{
		"with its name": {named: true}, "of the whole server": {}, "of an earlier version": {named: true, old: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.serveWith("target:1", func(g *grpc.Server) { m.register(t, g) }, grpc.ChainStreamInterceptor(m.intercept))
				r.register("pay/1", health.Spec{Address: "target:1"})
				const beats = 12
				came := r.after(beats * 5 * time.Second)
				for i, e := range came {
					if want := []mesh.EventKind{mesh.EventReport, mesh.EventAlive}[min(i, 1)]; e.Kind != want && e.Kind != mesh.EventConnected {
						t.Errorf("evidence %d: %v", i, e)
					}
				}
				got := r.manager.Figures(health.ParseID("pay/1"))
				switch {
				case m.old && (got == nil || got.Runs != 1 || m.refused.Load() != 1):
					t.Errorf("figures %+v; %d streams were refused", got, m.refused.Load())
				case !m.old && (got == nil || got.Runs != uint64(m.runs.Load()) || got.Runs < beats):
					t.Errorf("figures %+v, want %d runs", got, m.runs.Load())
				}
				if sent := m.sent.Load(); sent > 1+beats+1 {
					t.Errorf("%d messages in %d heartbeats", sent, beats)
				} else {
					t.Logf("%d messages in %d heartbeats", sent, beats)
				}
				if other := r.manager.Figures(health.ParseID("pay/2")); other != nil {
					t.Errorf("figures of an instance that is not followed: %+v", other)
				}
			})
		})
	}
}
