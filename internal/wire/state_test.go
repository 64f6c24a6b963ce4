package wire

import (
	"bytes"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
)

var noon = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// Every status and cause has its number in the proto, under the same name.
func TestEnums(t *testing.T) {
	for n, name := range pb.Status_name {
		s, ok := health.StatusFromWire(n)
		if n == int32(pb.Status_STATUS_SERVICE_UNKNOWN) {
			if ok {
				t.Error("SERVICE_UNKNOWN is taken for a status")
			}
			continue
		}
		if !ok || "STATUS_"+s.String() != name || Status(s) != pb.Status(n) {
			t.Errorf("%s is %s %v, and back %v", name, s, ok, Status(s))
		}
	}
	if len(pb.Status_name) != len(health.Statuses())+1 {
		t.Errorf("%d statuses on the wire, %d in package health", len(pb.Status_name), len(health.Statuses()))
	}
	for n, name := range pb.Cause_name {
		c := health.CauseFromWire(n)
		if n != 0 && "CAUSE_"+strings.ToUpper(c.String()) != name || int32(c) != n {
			t.Errorf("%s is %q", name, c)
		}
	}
	if len(pb.Cause_name) != int(health.NumCauses) {
		t.Errorf("%d causes on the wire, %d in package health", len(pb.Cause_name)-1, health.NumCauses-1)
	}
}

// The numbers of grpc.health.v1 mean the same in ours.
func TestStatusIsSuperset(t *testing.T) {
	for n, name := range healthpb.HealthCheckResponse_ServingStatus_name {
		if pb.Status_name[n] != "STATUS_"+name {
			t.Errorf("%s is %s here", name, pb.Status_name[n])
		}
	}
	for _, s := range health.Statuses() {
		if _, ok := healthpb.HealthCheckResponse_ServingStatus_name[s.GRPC()]; !ok {
			t.Errorf("%s is %d on grpc.health.v1", s, s.GRPC())
		}
	}
	ours, err := proto.Marshal(&pb.CheckRequest{Service: "pay"})
	theirs := &healthpb.HealthCheckRequest{}
	if err != nil || proto.Unmarshal(ours, theirs) != nil || theirs.GetService() != "pay" {
		t.Errorf("our CheckRequest reads as %v, %v", theirs, err)
	}
}

// stateOf is one with everything in it; "secret" is in each text of others.
func stateOf() health.State {
	return health.State{
		ID: health.ID{Service: "pay", Instance: "1"}, Status: health.Degraded, Cause: health.CauseTimeout, Reason: "secret reason",
		Since: noon.Add(-time.Minute), FirstFailure: noon.Add(-time.Hour), Unconfirmed: true, Root: "db",
		NextAt: noon.Add(time.Second), NextCause: health.CauseUnreachable, Revision: 42,
		Override: &health.Override{Status: health.Degraded, Author: "secret author", Reason: "secret override", SetAt: noon, ExpiresAt: noon.Add(time.Hour)},
		Spec:     &health.Spec{Address: "secret:80", Labels: map[string]string{"a": "b"}, Zone: "z", Version: "v", Incarnation: "i", TTL: time.Minute},
		Checks: []health.CheckState{
			{Name: "db", Status: health.NotServing, Cause: health.CauseTimeout, Reason: "secret check", LastRun: noon.Add(-time.Second), Fails: 3, HasValue: true, Value: 42, Unit: "conns"},
			{Name: "disk", Status: health.Serving, Passes: -1},
		},
		Metrics: &health.Metrics{Runs: 7, Failures: 1, ResponseTimeP50: time.Millisecond, Gauges: map[string]float64{"x": 1}},
	}
}

func TestHealthFull(t *testing.T) {
	s := stateOf()
	h := Health(&s, noon, access.EvidenceShown)
	if h.GetService() != "pay" || h.GetInstance() != "1" || h.GetStatus() != pb.Status_STATUS_DEGRADED || h.GetCause() != pb.Cause_CAUSE_TIMEOUT ||
		h.GetReason() != "secret reason" || !h.GetUnconfirmed() || h.GetRoot() != "db" || h.GetNextCause() != pb.Cause_CAUSE_UNREACHABLE ||
		h.GetRevision() != 42 || h.GetAddress() != "secret:80" || h.GetZone() != "z" || h.GetLabels()["a"] != "b" || h.GetIncarnation() == "" || h.GetIncarnation() == "i" {
		t.Errorf("%v", h)
	}
	s.Spec.Key, _ = health.KeyFrom(bytes.Repeat([]byte{1}, health.KeyBytes))
	if keyed := Health(&s, noon, access.EvidenceShown); keyed.GetIncarnation() != "i" {
		t.Errorf("with a key its incarnation is %q", keyed.GetIncarnation())
	}
	if h.GetAge().AsDuration() != time.Minute || !h.GetSince().AsTime().Equal(s.Since) || !h.GetNextAt().AsTime().Equal(s.NextAt) {
		t.Errorf("times of %v", h)
	}
	c := h.GetChecks()[0]
	if c.GetName() != "db" || c.GetReason() != "secret check" || c.GetFails() != 3 || c.GetObservedValue() != 42 || c.GetObservedUnit() != "conns" || c.GetLastRunAge().AsDuration() != time.Second {
		t.Errorf("check %v", c)
	}
	if d := h.GetChecks()[1]; d.ObservedValue != nil || d.GetPasses() != 0 || d.GetLastRunAge() != nil {
		t.Errorf("check without figures: %v", d)
	}
	if h.GetOverride().GetAuthor() != "secret author" || h.GetMetrics().GetGauges()["x"] != 1 {
		t.Errorf("%v", h)
	}
}

// The public sees classes and ages: no text of a check or a person, no address.
func TestHealthPublic(t *testing.T) {
	s := stateOf()
	h := Health(&s, noon, access.StatusShown)
	if text := prototext.Format(h); strings.Contains(text, "secret") {
		t.Errorf("the public sees %s", text)
	}
	if h.GetReason() != "db: timeout" || h.GetStatus() != pb.Status_STATUS_DEGRADED || h.GetOverride() == nil {
		t.Errorf("the public sees %v", h)
	}
}

// TestHealthDetails: each level adds what the ones below it hide.
func TestHealthDetails(t *testing.T) {
	s := health.State{
		ID: health.ID{Service: "pay", Instance: "1"}, Status: health.NotServing, Cause: health.CauseFailed, Reason: "the disk is full",
		Spec: &health.Spec{Address: "10.0.0.1:80"}, Endpoint: netip.MustParseAddrPort("10.0.0.1:80"),
		Override: &health.Override{Author: "ada", Reason: "a test"},
	}
	for shown, want := range map[access.Shown][4]string{
		access.StatusShown:                    {"", "", "", ""},
		{Detail: access.Status, Routes: true}: {"", "", "", "10.0.0.1:80"},
		access.ReasonShown:                    {"the disk is full", "ada", "", ""},
		access.EvidenceShown:                  {"the disk is full", "ada", "10.0.0.1:80", "10.0.0.1:80"},
	} {
		h := Health(&s, noon, shown)
		if got := [4]string{h.GetReason(), h.GetOverride().GetAuthor(), h.GetAddress(), h.GetEndpoint()}; got != want {
			t.Errorf("%+v: %q, want %q", shown, got, want)
		}
	}
}

// TestPublicCause: without evidence, nobody can tell an open port from a closed one.
func TestPublicCause(t *testing.T) {
	seen := map[string]int{}
	for c := range health.NumCauses {
		s := health.State{Status: health.NotServing, Cause: c, NextCause: c, Reason: "dial tcp 10.0.0.1:80: " + c.String()}
		exact, public := Health(&s, noon, access.EvidenceShown), Health(&s, noon, access.ReasonShown)
		if exact.GetCause() != pb.Cause(c) || exact.GetReason() != s.Reason {
			t.Errorf("with evidence %v is shown as %v", c, exact)
		}
		switch changed := public.GetCause() != pb.Cause(c); {
		case changed && (public.GetCause() != pb.Cause_CAUSE_UNREACHABLE || public.GetNextCause() != pb.Cause_CAUSE_UNREACHABLE || public.GetReason() != ""):
			t.Errorf("%v is shown as %v", c, public)
		case !changed && public.GetReason() != s.Reason:
			t.Errorf("%v: the reason is %q", c, public.GetReason())
		}
		seen[public.GetCause().String()]++
	}
	if seen["CAUSE_UNREACHABLE"] != 8 {
		t.Errorf("%d causes are shown as unreachable, want 8", seen["CAUSE_UNREACHABLE"])
	}
}

func TestHealthOfAggregate(t *testing.T) {
	counts := &health.Counts{Counted: 3, Unconfirmed: 1}
	counts.By[health.Serving], counts.By[health.NotServing], counts.By[health.Draining], counts.By[health.Degraded] = 1, 1, 1, 1
	s := health.State{ID: health.ID{Service: "pay"}, Counts: counts}
	for _, shown := range []access.Shown{access.StatusShown, access.ReasonShown, access.EvidenceShown} {
		h := Health(&s, noon, shown)
		if want := "2 of 4 routable, 1 DEGRADED, 1 NOT_SERVING, 1 DRAINING"; h.GetReason() != want {
			t.Errorf("reason %q, want %q", h.GetReason(), want)
		}
		c := h.GetCounts()
		if c.GetServing() != 1 || c.GetDegraded() != 1 || c.GetNotServing() != 1 || c.GetDraining() != 1 || c.GetCounted() != 3 || c.GetUnconfirmed() != 1 {
			t.Errorf("%v", c)
		}
		if h.GetSince() != nil || h.GetAge() != nil || h.GetNextAt() != nil {
			t.Errorf("times out of nothing: %v", h)
		}
	}
	counts.Unheard = 2
	if h := Health(&s, noon, access.StatusShown); h.GetReason() != "2 of 4 routable, 1 DEGRADED, 1 NOT_SERVING, 1 DRAINING; 2 never heard of" {
		t.Errorf("of some never heard of: %q", h.GetReason())
	}
	counts.Unheard = 0
	counts.Rule, counts.CriticalDown, counts.Normal, counts.Routable, counts.Need = health.Worst, 1, 3, 1, 2
	if h := Health(&s, noon, access.StatusShown); h.GetReason() != "2 of 4 routable, 1 DEGRADED, 1 NOT_SERVING, 1 DRAINING (worst); 1 critical NOT_SERVING; 1 of 3 normal services routable, 2 must be" {
		t.Errorf("of a mesh: %q", h.GetReason())
	}
	counts.Rule, counts.CriticalDown, counts.Routable = health.Available, 0, 2
	if h := Health(&s, noon, access.StatusShown); h.GetReason() != "2 of 4 routable, 1 DEGRADED, 1 NOT_SERVING, 1 DRAINING" {
		t.Errorf("of a mesh with enough: %q", h.GetReason())
	}
	if h := Health(&health.State{Counts: &health.Counts{}}, noon, access.EvidenceShown); h.GetReason() != "" {
		t.Errorf("of none: %q", h.GetReason())
	}
}

func TestClamp(t *testing.T) {
	for n, want := range map[int]uint32{-1: 0, 0: 0, 7: 7, math.MaxInt: math.MaxUint32} {
		if got := clamp(n); got != want {
			t.Errorf("%d becomes %d", n, got)
		}
	}
	if age(noon, noon.Add(time.Hour)).AsDuration() != 0 {
		t.Error("an age is negative")
	}
}
