package health

import (
	"encoding/json"
	"slices"
	"testing"
)

// TestStatusTable checks the row of each status.
func TestStatusTable(t *testing.T) {
	type row struct {
		name               string
		routable           bool
		grpc               int32
		metric             float64
		hasMetric          bool
		exit, http, number int
	}
	want := map[Status]row{
		Serving:     {"SERVING", true, 1, 2, true, 0, 200, 1},
		Degraded:    {"DEGRADED", true, 1, 1, true, 1, 200, 4},
		NotServing:  {"NOT_SERVING", false, 2, 0, true, 2, 503, 2},
		Unknown:     {"UNKNOWN", false, 0, 0, false, 3, 503, 0},
		Starting:    {"STARTING", false, 2, 0, false, 1, 503, 5},
		Draining:    {"DRAINING", false, 2, 0, false, 1, 503, 6},
		Maintenance: {"MAINTENANCE", false, 2, 0, false, 1, 503, 7},
	}
	for _, s := range Statuses() {
		value, has := s.Metric()
		got := row{s.String(), s.Routable(), s.GRPC(), value, has, s.ExitCode(), s.HTTP(), int(s.Wire())}
		w, listed := want[s]
		if !listed || got != w {
			t.Errorf("%d is %+v, want %+v", s, got, w)
		}
		if s.GRPC() < 0 || s.GRPC() > 3 || s.row().severity == 0 {
			t.Errorf("%s: gRPC number %d, severity %d", s, s.GRPC(), s.row().severity)
		}
	}
	if len(Statuses()) != len(want) {
		t.Errorf("%d statuses, %d rows", len(Statuses()), len(want))
	}
}

func TestStatusRoundTrips(t *testing.T) {
	for _, s := range Statuses() {
		if back, ok := ParseStatus(s.String()); !ok || back != s {
			t.Errorf("ParseStatus(%s) is %s %v", s, back, ok)
		}
		if back, ok := StatusFromWire(s.Wire()); !ok || back != s {
			t.Errorf("StatusFromWire(%d) is %s %v", s.Wire(), back, ok)
		}
		var back Status
		if b, err := json.Marshal(s); err != nil || json.Unmarshal(b, &back) != nil || back != s {
			t.Errorf("%s becomes %s as JSON, %v", s, b, err)
		}
		if s.Cause() == CauseNone {
			t.Errorf("%s has no usual cause", s)
		}
	}
	for _, n := range []int32{-1, 3, 8, 1 << 30} {
		if s, ok := StatusFromWire(n); ok || s != Unknown {
			t.Errorf("StatusFromWire(%d) is %s %v", n, s, ok)
		}
	}
	for _, name := range []string{"", "serving", "SERVICE_UNKNOWN"} {
		if s, ok := ParseStatus(name); ok || s != Unknown {
			t.Errorf("ParseStatus(%q) is %s %v", name, s, ok)
		}
	}
	var s Status
	if err := s.UnmarshalText([]byte("NOPE")); err == nil {
		t.Error("NOPE is parsed as a status")
	}
	if out := Status(200); out.String() != "UNKNOWN" || out.Routable() || out.GRPC() != 0 {
		t.Errorf("a status out of range is %s", out)
	}
}

func TestWorse(t *testing.T) {
	order := []Status{Serving, Degraded, Draining, Starting, Unknown, NotServing}
	for i, better := range order {
		for _, worse := range order[i+1:] {
			if !worse.WorseThan(better) || better.WorseThan(worse) {
				t.Errorf("%s must be worse than %s", worse, better)
			}
		}
	}
	if Draining.WorseThan(Maintenance) || Maintenance.WorseThan(Draining) {
		t.Error("DRAINING and MAINTENANCE must be equally bad")
	}
}

func TestCauses(t *testing.T) {
	want := []string{
		"ok", "warned", "failed", "timeout", "panic", "stale", "blocked", "refused", "unreachable", "tls",
		"unauthenticated", "unimplemented", "unknown_name", "lease_expired", "draining", "maintenance",
		"forced", "flapping", "guarded", "unconfirmed", "starting", "quota", "malformed",
	}
	var got []string
	for c := CauseOK; c < NumCauses; c++ {
		got = append(got, c.String())
		if back, ok := ParseCause(c.String()); !ok || back != c {
			t.Errorf("ParseCause(%s) is %s %v", c, back, ok)
		}
		if back := CauseFromWire(int32(c)); back != c {
			t.Errorf("CauseFromWire(%d) is %s", c, back)
		}
		var back Cause
		if b, err := json.Marshal(c); err != nil || json.Unmarshal(b, &back) != nil || back != c {
			t.Errorf("%s becomes %s as JSON, %v", c, b, err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("causes are %q", got)
	}
	for _, n := range []int32{-1, 0, int32(NumCauses), 1 << 30} {
		if c := CauseFromWire(n); c != CauseNone {
			t.Errorf("CauseFromWire(%d) is %s", n, c)
		}
	}
	if _, ok := ParseCause("nope"); ok || Cause(200).String() != "" {
		t.Error("a cause out of range")
	}
}
