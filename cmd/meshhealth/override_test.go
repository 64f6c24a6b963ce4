package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// TestMaintenance sets and clears overrides, and checks the history.
func TestMaintenance(t *testing.T) {
	l := newLive(t, coordinator.Config{})
	me := "unix:uid=" + strconv.Itoa(os.Getuid())
	_, address := stockServer(t)
	l.does(0, "register", "pay/a", "--address", address, "--zone", "eu-1")
	l.becomes("pay/a", pb.Status_STATUS_SERVING)

	says := func(want string, code int, args ...string) {
		t.Helper()
		stdout, stderr := l.does(code, args...)
		if !strings.Contains(stdout+stderr, want) {
			t.Errorf("meshhealth %s: %q%q, want %q", strings.Join(args, " "), stdout, stderr, want)
		}
	}
	says("Nothing is in maintenance.", 0, "maintenance", "list")
	says("zone=eu-2", 3, "maintenance", "on", "zone=eu-2", "--reason", "none there", "--for", "1h")
	says("zone=eu-1 is forced to MAINTENANCE for 2h\n", 0, "maintenance", "on", "zone=eu-1", "--reason", "switches", "--for", "2h")
	l.becomes("pay/a", pb.Status_STATUS_MAINTENANCE)
	says("forced by "+me, 1, "status", "pay/a")
	says("pay/a is forced to DEGRADED for 1h\n", 0, "override", "set", "pay/a", "degraded", "--reason", "disk", "--for", "1h")
	says("--for: is missing; allowed: 1s to ", 3, "override", "set", "pay/a", "degraded", "--reason", "disk")
	l.becomes("pay/a", pb.Status_STATUS_DEGRADED)
	says("pay/a", 0, "override", "list")
	if stdout, _ := l.does(0, "maintenance", "list", "-o", "json"); strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, `"scope":"zone=eu-1"`) {
		t.Errorf("maintenance list: %q", stdout)
	}
	says("pay/a  ▲ DEGRADED for", 1, "explain", "pay/a")
	says("Forced    DEGRADED by "+me, 1, "explain", "pay/a")
	says("Did you mean pay/a?", 3, "explain", "pay/b")
	says("pay/a: no status is forced on it now\n", 0, "override", "clear", "pay/a")
	l.becomes("pay/a", pb.Status_STATUS_MAINTENANCE)
	says("zone=eu-1: no status is forced on it now\n", 0, "maintenance", "off", "zone=eu-1", "--reason", "done")
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	says("freed by "+me, 0, "history")
	says(": switches", 0, "history")
	says(": disk", 0, "history", "pay/a")
}

// TestOverrideTable checks the table of overrides.
func TestOverrideTable(t *testing.T) {
	at := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(noon.Add(d)) }
	var s shell
	err := s.app().printOverrides(&output{format: "table", colour: "auto"}, []*pb.ForcedScope{
		{Instances: 12, Override: &pb.Override{Scope: "zone=eu-1", Status: pb.Status_STATUS_MAINTENANCE, Author: "ann", Reason: "new switches", SetAt: at(-time.Hour), ExpiresAt: at(time.Hour)}},
		{Instances: 1, Override: &pb.Override{Scope: "payments/a", Status: pb.Status_STATUS_NOT_SERVING, Author: escape, Reason: escape, SetAt: at(-26 * time.Hour)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/overrides.txt", s.out.String())
}
