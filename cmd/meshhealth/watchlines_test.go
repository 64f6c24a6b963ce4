package main

import (
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

const (
	isServing    = pb.Status_STATUS_SERVING
	isDegraded   = pb.Status_STATUS_DEGRADED
	isNotServing = pb.Status_STATUS_NOT_SERVING
)

// told returns what a watch prints of updates, after a snapshot of two instances in two zones.
func told(t *testing.T, f watchFlags, want []string, updates ...[]*pb.Health) (lines []string) {
	t.Helper()
	var s shell
	f.output = output{format: "table", colour: "auto"}
	w := newWatchPrinter(s.app(), &f, want)
	take := func(u client.Update) {
		u.Received = noon
		if err := w.print(&u); err != nil {
			t.Fatal(err)
		}
	}
	var all []*pb.Health
	for _, name := range []string{"payments/@eu-1", "payments/@eu-2", "*/eu-1", "*/eu-2", "*", "payments", "payments/a", "payments/b"} {
		all = append(all, now(name, isServing))
	}
	take(client.Update{Snapshot: true, SnapshotEnd: true, Entries: entriesOf(all...)})
	s.out.WriteString("--\n")
	for _, entries := range updates {
		take(client.Update{Entries: entriesOf(entries...)})
	}
	for line := range strings.Lines(s.out.String()) {
		lines = append(lines, strings.Join(strings.Fields(strings.TrimPrefix(line, "12:00:00.000")), " "))
	}
	return lines
}

func now(name string, status pb.Status) *pb.Health {
	cause := pb.Cause_CAUSE_OK
	if status != isServing {
		cause = pb.Cause_CAUSE_FAILED
	}
	return entry(name, status, cause, time.Second, "")
}

func removed(name string, status pb.Status) *pb.Health {
	h := now(name, status)
	h.Removed = true
	return h
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestWatchOneLine checks that an event is one line with its effects. Zones are in the line
// while they differ from their service or the mesh.
func TestWatchOneLine(t *testing.T) {
	down := []*pb.Health{now("payments/a", isNotServing), now("*", isDegraded), now("payments", isDegraded), now("payments/@eu-1", isNotServing), now("*/eu-1", isNotServing)}
	up := []*pb.Health{now("payments/a", isServing), now("payments", isServing), now("*", isServing), now("payments/@eu-1", isServing), now("*/eu-1", isServing)}
	both := []*pb.Health{now("payments/b", isNotServing), now("payments", isNotServing), now("payments/@eu-2", isNotServing), now("*/eu-2", isNotServing), now("*", isNotServing)}
	gone := []*pb.Health{removed("payments/b", pb.Status_STATUS_SERVICE_UNKNOWN), removed("payments/@eu-2", pb.Status_STATUS_SERVICE_UNKNOWN), removed("*/eu-2", pb.Status_STATUS_SERVICE_UNKNOWN), removed("payments", isNotServing)}
	wantLines(t, told(t, watchFlags{}, nil, down, down, up, down, both, gone),
		"● SERVING *", "● SERVING payments", "● SERVING payments/a", "● SERVING payments/b", "--",
		"✖ NOT_SERVING ← SERVING payments/a failed → payments DEGRADED, payments/@eu-1 NOT_SERVING, * DEGRADED, */eu-1 NOT_SERVING",
		"● SERVING ← NOT_SERVING payments/a → payments SERVING, payments/@eu-1 SERVING, * SERVING, */eu-1 SERVING",
		"✖ NOT_SERVING ← SERVING payments/a failed → payments DEGRADED, payments/@eu-1 NOT_SERVING, * DEGRADED, */eu-1 NOT_SERVING",
		"✖ NOT_SERVING ← SERVING payments/b failed → payments NOT_SERVING, * NOT_SERVING",
		"✂ REMOVED ← NOT_SERVING payments/b failed → payments REMOVED",
	)
	wantLines(t, told(t, watchFlags{}, nil, []*pb.Health{now("payments", isDegraded), now("*", isDegraded)}, []*pb.Health{now("*", isServing)})[5:],
		"▲ DEGRADED ← SERVING payments failed → * DEGRADED", // no instance has changed
		"● SERVING ← DEGRADED *",
	)
}

// TestWatchZones checks that --zones prints all zones, and that a zone that was asked for is
// printed always.
func TestWatchZones(t *testing.T) {
	both := []*pb.Health{now("payments/a", isDegraded), now("payments", isDegraded), now("payments/@eu-1", isDegraded)}
	wantLines(t, told(t, watchFlags{zones: true}, nil, both),
		"● SERVING payments/@eu-1", "● SERVING payments/@eu-2", "● SERVING */eu-1", "● SERVING */eu-2",
		"● SERVING *", "● SERVING payments", "● SERVING payments/a", "● SERVING payments/b", "--",
		"▲ DEGRADED ← SERVING payments/a failed → payments DEGRADED, payments/@eu-1 DEGRADED",
	)
	wantLines(t, told(t, watchFlags{}, []string{"payments/@eu-2"}, []*pb.Health{now("payments/@eu-1", isServing), now("payments/@eu-2", isDegraded)}),
		"● SERVING payments/@eu-2", "● SERVING *", "● SERVING payments", "● SERVING payments/a", "● SERVING payments/b", "--",
		"▲ DEGRADED ← SERVING payments/@eu-2 failed",
	)
	wantLines(t, told(t, watchFlags{count: 1}, nil)[4:], "--")
}

// TestWatchOfARemoval checks the status that is printed for a removed instance.
func TestWatchOfARemoval(t *testing.T) {
	for status, want := range map[pb.Status]string{
		pb.Status_STATUS_SERVICE_UNKNOWN: "✂ REMOVED ← SERVING payments/a failed",
		pb.Status_STATUS_DRAINING:        "✂ REMOVED ← DRAINING payments/a failed",
	} {
		wantLines(t, told(t, watchFlags{}, nil, []*pb.Health{removed("payments/a", status)})[5:], want)
	}
}
