package coordinator_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator"
	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// resolvedConn is a connection to a host whose name was resolved to an IP address.
type resolvedConn struct {
	net.Conn
	peer netip.AddrPort
}

func (c resolvedConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.peer) }

// openStore is a store that stays open after the end of a coordinator.
type openStore struct{ store.Store }

func (openStore) Close() error { return nil }

// TestRouteSurvivesRestart: the coordinator learns the IP address of a host name from its connection.
// After a restart it cannot reach the instance, and the stored status is too old. The route and the
// endpoint stay as they were.
func TestRouteSurvivesRestart(t *testing.T) {
	const name, peer = "pay.test:9001", "10.9.9.9:9001"
	kept := openStore{store.NewMemory(0)}
	configure := func(cfg *coordinator.Config) {
		cfg.Store = kept
		cfg.Static = []coordinator.Target{{
			Service: "pay", Instance: "a", Address: name, Traffic: health.Traffic{Address: ":8080", Weight: 3}, Region: "eu",
		}}
	}
	want := func(r *rig, status pb.Status, route pb.Route, kept bool) {
		t.Helper()
		h := r.now("pay/a")
		if h.GetStatus() != status || h.GetRoute() != route || h.GetRouteKept() != kept || h.GetEndpoint() != "10.9.9.9:8080" {
			t.Errorf("%v with route %v (kept: %t) at %q, want %v, %v (%t) at 10.9.9.9:8080", h, h.GetRoute(), h.GetRouteKept(), h.GetEndpoint(), status, route, kept)
		}
		if h.GetTraffic().GetWeight() != 3 || h.GetTraffic().GetAddress() != "pay.test:8080" || h.GetRegion() != "eu" {
			t.Errorf("traffic %v in region %q", h.GetTraffic(), h.GetRegion())
		}
	}
	bubbleWith(t, "reachable", func(cfg *coordinator.Config) {
		configure(cfg)
		dial := cfg.Dial.Context
		cfg.Dial.Context = func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := dial(ctx, address)
			if err != nil {
				return nil, err
			}
			return resolvedConn{conn, netip.MustParseAddrPort(peer)}, nil
		}
	}, func(r *rig) {
		stock := grpchealth.NewServer()
		stock.SetServingStatus("pay", healthpb.HealthCheckResponse_SERVING)
		g := grpc.NewServer()
		healthpb.RegisterHealthServer(g, stock)
		l := r.net.Listen(name)
		go func() { _ = g.Serve(l) }()
		r.t.Cleanup(g.Stop)
		r.after(5 * time.Second)
		want(r, pb.Status_STATUS_SERVING, pb.Route_ROUTE_HEALTHY, false)
	})
	t.Run("gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(24 * time.Hour) // longer than StoreTrust
			r := newRig(t, configure)
			r.net.Hang(name)
			want(r, pb.Status_STATUS_UNKNOWN, pb.Route_ROUTE_HEALTHY, true)
			r.after(time.Hour)
			want(r, pb.Status_STATUS_NOT_SERVING, pb.Route_ROUTE_HEALTHY, true)
		})
	})
}
