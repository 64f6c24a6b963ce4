package wire

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
)

// TestStateFromHealth: what is sent of a state is what is read.
func TestStateFromHealth(t *testing.T) {
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	scope, err := health.ParseScope("zone=eu-1")
	if err != nil {
		t.Fatal(err)
	}
	instance := health.State{
		ID: health.ID{Service: "pay", Instance: "a"}, Status: health.NotServing, Cause: health.CauseFailed, Reason: "db: refused",
		Since: at.Add(-time.Minute), FirstFailure: at.Add(-time.Hour), Unconfirmed: true, Root: "db", Affected: 3,
		NextAt: at.Add(time.Minute), NextCause: health.CauseUnreachable, Revision: 7, Removed: true,
		Override: &health.Override{Scope: scope, Status: health.NotServing, Author: "ann", Reason: "x", SetAt: at, ExpiresAt: at.Add(time.Hour)},
		Spec: &health.Spec{
			Address: "10.0.0.1:1", Labels: map[string]string{"team": "core"}, Zone: "eu-1", Version: "1", Static: true,
			Traffic: health.Traffic{Address: "10.0.0.1:2", Weight: 7, TLSNames: []string{"a.example"}}, Region: "eu", Source: "kube",
		},
		Route: health.RouteDegraded, RouteKept: true, Endpoint: netip.MustParseAddrPort("[2001:db8::1]:2"),
		Checks: []health.CheckState{{
			Name: "db", Status: health.NotServing, Cause: health.CauseFailed, Reason: "refused",
			LastRun: at.Add(-time.Second), ResponseTime: time.Millisecond, Passes: 1, Fails: 2, HasValue: true, Value: 3, Unit: "ms", Runs: 4, Failures: 5,
		}},
		Metrics: &health.Metrics{Runs: 1, Failures: 2, ResponseTimeP50: 3, ResponseTimeP99: 4, Gauges: map[string]float64{"x": 1}},
	}
	counts := &health.Counts{Counted: 21, Unconfirmed: 2}
	for i, s := range health.Statuses() {
		counts.By[s] = i + 1
	}
	aggregate := health.State{ID: health.ID{Service: "pay", Instance: "@eu-1"}, Status: health.Degraded, Reason: countsReason(counts), Counts: counts}
	service := health.State{
		ID: health.ID{Service: "pay"}, Status: health.Degraded, Reason: countsReason(counts), Counts: counts,
		Dependencies: []health.Dependency{{Service: "db"}, {Service: "mail", Soft: true}},
	}
	for _, want := range []health.State{instance, aggregate, service} {
		got, registered := StateFromHealth(Health(&want, at, access.EvidenceShown))
		if !registered || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %t\n%+v, want\n%+v", want.ID, registered, got, want)
		}
	}
}

// TestStateOfAnUnknownName: a name that is not registered has a state, too.
func TestStateOfAnUnknownName(t *testing.T) {
	h := &pb.Health{Service: "nobody", Status: pb.Status_STATUS_SERVICE_UNKNOWN}
	s, registered := StateFromHealth(proto.CloneOf(h))
	if registered || s.Status != health.Unknown || s.ID.Service != "nobody" {
		t.Errorf("%+v, %t", s, registered)
	}
}
