package client

import (
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// TestEntryHasRouting: an entry of a Watch has what routing clients need of an instance.
func TestEntryHasRouting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.script(func(_ int, stream watchStream) error {
			err := stream.Send(&pb.WatchResponse{Epoch: 1, Entries: []*pb.Health{{
				Service: "pay", Instance: "a", Address: "host:1", Zone: "eu-1a", Region: "eu-1", Source: "kube", Static: true,
				Route: pb.Route_ROUTE_DEGRADED, RouteKept: true, Endpoint: "[fd00::1]:8080",
				Traffic: &pb.Traffic{Address: ":8080", Weight: 7, TlsNames: []string{"pay.internal"}},
			}}})
			if err != nil {
				return err
			}
			return hold(stream)
		})
		w.up()
		updates := watching(t, w.client(), WatchOptions{}).all(func(Update) bool { return true })
		if len(updates) != 1 || len(updates[0].Entries) != 1 {
			t.Fatalf("the Watch yields %+v", updates)
		}
		e := updates[0].Entries[0]
		if e.Route != health.RouteDegraded || !e.RouteKept || e.Endpoint != netip.MustParseAddrPort("[fd00::1]:8080") {
			t.Errorf("the entry has the route %v, %t and the endpoint %v", e.Route, e.RouteKept, e.Endpoint)
		}
		want := &health.Spec{
			Address: "host:1", Zone: "eu-1a", Region: "eu-1", Source: "kube", Static: true,
			Traffic: health.Traffic{Address: ":8080", Weight: 7, TLSNames: []string{"pay.internal"}},
		}
		if !reflect.DeepEqual(e.Spec, want) {
			t.Errorf("the entry has the registration %+v, want %+v", e.Spec, want)
		}
	})
}
