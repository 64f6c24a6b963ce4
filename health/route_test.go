package health_test

import (
	"strings"
	"testing"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// TestRoutes checks that every route has its own name and its own number in meshhealth.v1.
func TestRoutes(t *testing.T) {
	if len(pb.Route_name) != int(health.NumRoutes) {
		t.Errorf("meshhealth.v1 has %d routes; package health has %d", len(pb.Route_name), health.NumRoutes)
	}
	for r := range health.NumRoutes {
		if got := strings.TrimPrefix(pb.Route(r.Wire()).String(), "ROUTE_"); got != r.String() {
			t.Errorf("route %d is %s in meshhealth.v1; want %s", r, got, r)
		}
		parsed, err := health.ParseRoute(r.String())
		if err != nil || parsed != r || health.RouteFromWire(r.Wire()) != r {
			t.Errorf("route %s is read back as %s and %s, %v", r, parsed, health.RouteFromWire(r.Wire()), err)
		}
	}
	if _, err := health.ParseRoute("healthy"); err == nil || !strings.Contains(err.Error(), "allowed: NONE, HEALTHY") {
		t.Errorf("ParseRoute of an unknown name: %v", err)
	}
	for _, n := range []int32{-1, int32(health.NumRoutes)} {
		if got := health.RouteFromWire(n); got != health.RouteNone {
			t.Errorf("RouteFromWire(%d) = %s; want NONE", n, got)
		}
	}
}
