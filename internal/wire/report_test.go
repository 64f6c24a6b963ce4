package wire

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
)

// What an instance publishes arrives as it was, by Watch and by Report.
func TestReportRoundTrip(t *testing.T) {
	s := stateOf()
	h := Health(&s, noon, access.EvidenceShown)
	// The receiver's clock is another.
	later := noon.Add(time.Hour)
	byWatch, ok := ReportFromHealth(h, later)
	if !ok || byWatch.Source != health.SourceMeshhealth || !byWatch.FirstFailure.Equal(later.Add(-time.Hour)) {
		t.Errorf("%v %+v", ok, byWatch)
	}
	byPush, ok := ReportFromPush(Push(h), later)
	if !ok || byPush.Source != health.SourcePush {
		t.Errorf("%v %+v", ok, byPush)
	}
	for _, r := range []mesh.Report{byWatch, byPush} {
		c := r.Checks[0]
		c.LastRun = s.Checks[0].LastRun // an age: by the receiver's clock
		if r.Status != s.Status || r.Cause != s.Cause || r.Reason != s.Reason || len(r.Checks) != 2 || c != s.Checks[0] {
			t.Errorf("%+v", r)
		}
		if m := r.Metrics; m.Runs != 7 || m.Failures != 1 || m.ResponseTimeP50 != time.Millisecond || m.Gauges["x"] != 1 {
			t.Errorf("%+v", m)
		}
		if !r.Checks[0].LastRun.Equal(later.Add(-time.Second)) || !r.Checks[1].LastRun.IsZero() {
			t.Errorf("runs at %v and %v", r.Checks[0].LastRun, r.Checks[1].LastRun)
		}
	}
}

func TestReportWithoutStatus(t *testing.T) {
	for _, n := range []pb.Status{pb.Status_STATUS_SERVICE_UNKNOWN, -1, 8, math.MaxInt32} {
		if r, ok := ReportFromHealth(&pb.Health{Status: n}, noon); ok || r.Status != health.Unknown {
			t.Errorf("Watch: %v is taken for %v", n, r.Status)
		}
		if _, ok := ReportFromPush(&pb.ReportRequest{Status: n}, noon); ok {
			t.Errorf("Report: %v is taken", n)
		}
	}
	if _, ok := ReportFromPush(&pb.ReportRequest{}, noon); ok {
		t.Error("a push of UNKNOWN, which says nothing, is taken")
	}
	if _, ok := ReportFromHealth(nil, noon); !ok {
		t.Error("an empty answer is UNKNOWN")
	}
}

// What is too large is cut, and always to the same.
func TestReportIsBounded(t *testing.T) {
	long := strings.Repeat("x", 5000)
	h := &pb.Health{Status: pb.Status_STATUS_SERVING, Reason: long, Metrics: &pb.Metrics{Gauges: map[string]float64{long: 1}}}
	for i := range 500 {
		h.Checks = append(h.Checks, &pb.CheckHealth{Name: fmt.Sprint(i, long), Reason: long, ObservedUnit: long, Cause: 999, Status: 3})
		h.Metrics.Gauges[fmt.Sprintf("gauge-%03d", i)] = float64(i)
	}
	first, ok := ReportFromHealth(h, noon)
	if !ok {
		t.Fatal("refused")
	}
	bounded(t, &first)
	if len(first.Checks) != MaxChecks || len(first.Metrics.Gauges) != MaxGauges {
		t.Errorf("%d checks, %d gauges", len(first.Checks), len(first.Metrics.Gauges))
	}
	if c := first.Checks[0]; c.Status != health.Unknown || c.Cause != health.CauseNone {
		t.Errorf("unknown numbers become %v %v", c.Status, c.Cause)
	}
	for range 10 {
		again, _ := ReportFromHealth(h, noon)
		for name := range first.Metrics.Gauges {
			if _, there := again.Metrics.Gauges[name]; !there {
				t.Fatalf("%s is there only sometimes", name)
			}
		}
	}
}

func TestReportTimes(t *testing.T) {
	for _, c := range []struct {
		name      string
		at, first *timestamppb.Timestamp
		want      time.Time
	}{
		{"none", timestamppb.New(noon), nil, time.Time{}},
		{"an hour ago", timestamppb.New(noon), timestamppb.New(noon.Add(-time.Hour)), noon.Add(-time.Hour)},
		{"in the future", timestamppb.New(noon), timestamppb.New(noon.Add(time.Hour)), noon},
		{"no clock of theirs", nil, timestamppb.New(noon), noon},
		{"not a time", timestamppb.New(noon), &timestamppb.Timestamp{Seconds: math.MaxInt64}, time.Time{}},
	} {
		r, _ := ReportFromHealth(&pb.Health{Status: 1, At: c.at, FirstFailure: c.first}, noon)
		if !r.FirstFailure.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, r.FirstFailure, c.want)
		}
	}
	odd := &pb.CheckHealth{LastRunAge: &durationpb.Duration{Seconds: -5}, ResponseTime: &durationpb.Duration{Seconds: math.MaxInt64}}
	r, _ := ReportFromHealth(&pb.Health{Status: 1, Checks: []*pb.CheckHealth{odd}}, noon)
	if !r.Checks[0].LastRun.Equal(noon) {
		t.Errorf("the last run is in the future: %v", r.Checks[0].LastRun)
	}
}

// bounded holds the limits of what others say.
func bounded(t *testing.T, r *mesh.Report) {
	t.Helper()
	ok := func(text string, limit int) bool {
		return len(text) <= limit && utf8.ValidString(text) && CleanTo(text, limit) == text
	}
	if !ok(r.Reason, MaxText) || len(r.Checks) > MaxChecks {
		t.Errorf("reason %.50q, %d checks", r.Reason, len(r.Checks))
	}
	for _, c := range r.Checks {
		if !ok(c.Name, MaxName) || !ok(c.Reason, MaxText) || !ok(c.Unit, MaxUnit) {
			t.Errorf("check %.200q", fmt.Sprint(c))
		}
	}
	if r.Metrics == nil {
		return
	}
	for name := range r.Metrics.Gauges {
		if !ok(name, MaxName) || len(r.Metrics.Gauges) > MaxGauges {
			t.Errorf("gauge %.50q of %d", name, len(r.Metrics.Gauges))
		}
	}
}

// FuzzHealthReport: whatever an instance sends, what is kept of it is bounded,
// and can be sent on.
func FuzzHealthReport(f *testing.F) {
	s := stateOf()
	seed, err := proto.Marshal(Health(&s, noon, access.EvidenceShown))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed, "text")
	f.Add([]byte{}, "a\xff\x1b")
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		h := &pb.Health{}
		if proto.Unmarshal(raw, h) != nil {
			h = &pb.Health{Status: 1}
		}
		h.Checks = append(h.Checks, &pb.CheckHealth{Name: text, Reason: text, ObservedUnit: text, Status: pb.Status(len(text) % 9)})
		r, ok := ReportFromHealth(h, noon)
		if ok {
			bounded(t, &r)
			sendOn(t, &r)
		}
		if push, ok := ReportFromPush(Push(h), noon); ok {
			bounded(t, &push)
		}
	})
}

func sendOn(t *testing.T, r *mesh.Report) {
	state := health.State{Status: r.Status, Cause: r.Cause, Reason: r.Reason, FirstFailure: r.FirstFailure, Checks: r.Checks, Metrics: r.Metrics}
	for _, shown := range []access.Shown{access.StatusShown, access.ReasonShown, access.EvidenceShown} {
		if _, err := proto.Marshal(Health(&state, noon, shown)); err != nil {
			t.Errorf("%+v cannot be sent on: %v", r, err)
		}
	}
}
