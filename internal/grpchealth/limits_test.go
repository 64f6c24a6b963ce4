package grpchealth

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func TestWatchersAreLimited(t *testing.T) {
	for what, cfg := range map[string]Config{"in all": {MaxWatchers: 2}, "a peer": {MaxWatchersPerPeer: 2}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, cfg)
			first := w.watchStock(t, "pay")
			first.one()
			w.watch(t, &pb.WatchRequest{}).one()
			stock, mesh := w.watchStock(t, "pay"), w.watch(t, &pb.WatchRequest{})
			stock.none()
			stock.ends(codes.ResourceExhausted)
			mesh.none()
			mesh.ends(codes.ResourceExhausted)
			if _, retry := wire.RetryDelay(mesh.err); !retry || wire.ReasonOf(mesh.err) != wire.ReasonLimit {
				t.Errorf("%s: %v", what, mesh.err)
			}
			first.cancel()
			synctest.Wait()              // until the server has noticed
			w.watchStock(t, "pay").one() // a place is free again
		})
	}
}

func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("self", health.Serving))
		stock, mesh := w.watchStock(t, ""), w.watch(t, &pb.WatchRequest{})
		stock.one()
		mesh.one()
		w.publish(is("self", health.Draining))
		w.handlers.End()
		w.handlers.End() // a second call does nothing
		// A change that was published before the end is still sent.
		if m := stock.one(); m.GetStatus() != notServing {
			t.Errorf("stock: %v", m)
		}
		wantLines(t, mesh.one(), "self DRAINING")
		stock.ends(codes.Unavailable)
		mesh.ends(codes.Unavailable)
		if reason := wire.ReasonOf(mesh.err); reason != wire.ReasonStopping {
			t.Errorf("reason %q", reason)
		}
		if n := w.handlers.Watchers(); n != 0 {
			t.Errorf("%d watchers", n)
		}
		stock, mesh = w.watchStock(t, ""), w.watch(t, &pb.WatchRequest{})
		stock.none()
		mesh.none()
		stock.ends(codes.Unavailable)
		mesh.ends(codes.Unavailable)
		if r, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || r.GetStatus() != notServing {
			t.Errorf("Check: %v, %v", r, err)
		}
		if r, err := w.mesh.List(t.Context(), &pb.ListRequest{}); err != nil || len(r.GetEntries()) != 1 {
			t.Errorf("List: %v, %v", r, err)
		}
	})
}

func TestManyWatchersSeeOneFlip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("pay", health.Serving))
		const n = 100
		ins := make([]*inbox[*pb.WatchResponse], n)
		for i := range ins {
			ins[i] = w.watch(t, &pb.WatchRequest{Names: []string{"pay"}})
		}
		for _, in := range ins {
			in.one()
		}
		begun := time.Now()
		w.publish(is("pay", health.NotServing))
		for _, in := range ins {
			wantLines(t, in.one(), "pay NOT_SERVING")
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v: somebody polls", took)
		}
	})
}
