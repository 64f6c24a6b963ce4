package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(noon.Add(-d)) }

// explanations returns explanations of an instance, a service and a forced instance.
func explanations() []*pb.ExplainResponse {
	instance := entry("checkout.v1.Checkout/pod-7f9c", pb.Status_STATUS_DEGRADED, pb.Cause_CAUSE_FAILED, 134*time.Second, "ledger: timeout after 2s")
	instance.Unconfirmed = true
	service := entry("checkout.v1.Checkout", pb.Status_STATUS_DEGRADED, pb.Cause_CAUSE_WARNED, 132*time.Second, "3 of 4 routable, 1 NOT_SERVING")
	forced := entry("payments/c", pb.Status_STATUS_MAINTENANCE, pb.Cause_CAUSE_MAINTENANCE, 5*time.Second, "new disk")
	forced.Override = &pb.Override{Status: pb.Status_STATUS_MAINTENANCE, Author: "kim", Reason: "new disk " + escape, Scope: "zone=eu-1", SetAt: ago(5 * time.Second), ExpiresAt: timestamppb.New(noon.Add(time.Hour))}
	chain := []*pb.ChainLink{
		{Name: "db.primary", Status: pb.Status_STATUS_NOT_SERVING, Cause: pb.Cause_CAUSE_REFUSED, Since: ago(137 * time.Second), Reason: "db.primary/pg-0 is NOT_SERVING: it refuses connections at its address: connection refused"},
		{Name: "ledger.v1.Ledger", Status: pb.Status_STATUS_NOT_SERVING, Since: ago(135 * time.Second), Edge: pb.Edge_EDGE_HARD},
		{Name: "checkout.v1.Checkout", Status: pb.Status_STATUS_DEGRADED, Since: ago(134 * time.Second), Edge: pb.Edge_EDGE_SOFT},
	}
	return []*pb.ExplainResponse{
		{
			Health: instance,
			Evidence: []*pb.Evidence{
				{Source: "check ledger", Status: pb.Status_STATUS_DEGRADED, Cause: pb.Cause_CAUSE_TIMEOUT, Text: "a check did not answer in time: timeout after 2s", Age: durationpb.New(1800 * time.Millisecond), Count: 65},
				{Source: "reach", Text: "the coordinator follows it at 10.0.0.7:9000, by meshhealth-watch"},
				{Source: "lease", Text: "its lease of 30s was renewed", Age: durationpb.New(9 * time.Second)},
			},
			Chain: append(append([]*pb.ChainLink{}, chain...), &pb.ChainLink{Name: "checkout.v1.Checkout/pod-7f9c", Status: pb.Status_STATUS_DEGRADED, Since: ago(134 * time.Second), Edge: pb.Edge_EDGE_MEMBER, Reason: "ledger: timeout after 2s"}),
			Layers: []*pb.Layer{
				{Name: "reported", In: pb.Status_STATUS_DEGRADED, Out: pb.Status_STATUS_DEGRADED, Since: ago(134 * time.Second), Detail: "it says DEGRADED, by meshhealth-watch"},
				{Name: "reach", In: pb.Status_STATUS_DEGRADED, Out: pb.Status_STATUS_DEGRADED, Unconfirmed: true, Since: ago(400 * time.Millisecond), Detail: "answers are missing"},
				{Name: "guard", In: pb.Status_STATUS_DEGRADED, Out: pb.Status_STATUS_DEGRADED, Unconfirmed: true, Detail: "off"},
				{Name: "damping", In: pb.Status_STATUS_DEGRADED, Out: pb.Status_STATUS_DEGRADED, Unconfirmed: true, Detail: "penalty 1000 of 3000"},
				{Name: "override", In: pb.Status_STATUS_DEGRADED, Out: pb.Status_STATUS_DEGRADED, Unconfirmed: true, Detail: "none"},
			},
			Next: []*pb.NextChange{
				{To: pb.Status_STATUS_NOT_SERVING, Cause: pb.Cause_CAUSE_UNREACHABLE, In: durationpb.New(14600 * time.Millisecond), Unless: "it answers"},
				{To: pb.Status_STATUS_UNKNOWN, Removed: true, In: durationpb.New(630 * time.Second), Unless: "its lease is renewed"},
				{To: pb.Status_STATUS_SERVING, Cause: pb.Cause_CAUSE_OK, If: "its check ledger passes as often as its process requires"},
			},
		},
		{
			Health: service, Chain: chain,
			Evidence: []*pb.Evidence{
				{Source: "rule", Text: "its status follows from the rule at-least-4"},
				{Source: "checkout.v1.Checkout/pod-7f9c", Status: pb.Status_STATUS_NOT_SERVING, Cause: pb.Cause_CAUSE_REFUSED, Text: "データベース接続が拒否されました " + escape, Age: durationpb.New(time.Minute)},
				{Source: "dependency ledger.v1.Ledger", Status: pb.Status_STATUS_NOT_SERVING, Cause: pb.Cause_CAUSE_FAILED, Text: "it depends on ledger.v1.Ledger, which is NOT_SERVING", Age: durationpb.New(135 * time.Second)},
			},
			Next: []*pb.NextChange{{To: pb.Status_STATUS_SERVING, Cause: pb.Cause_CAUSE_OK, If: "1 more instance becomes SERVING"}},
		},
		{
			Health: forced, Judged: pb.Status_STATUS_SERVING,
			Next: []*pb.NextChange{{To: pb.Status_STATUS_SERVING, Cause: pb.Cause_CAUSE_OK, In: durationpb.New(time.Hour), Unless: "the override is set again"}},
		},
		{Health: entry("legacy/a", pb.Status_STATUS_SERVING, pb.Cause_CAUSE_OK, time.Minute, ""), Sentences: []string{"legacy/a is SERVING for 1m.", "The coordinator is of an earlier version."}},
	}
}

// TestExplanation checks the output of explain on terminals and in a pipe. On a terminal no line is
// wider than the terminal.
func TestExplanation(t *testing.T) {
	for _, columns := range []int{0, 60, 80, 100, 200} {
		s := shell{columns: columns}
		if columns == 60 {
			s.env = map[string]string{"LANG": "C"}
		}
		for _, e := range explanations() {
			if err := s.app().printExplanation(&output{format: "table", colour: "never"}, e); err != nil {
				t.Fatal(err)
			}
			s.out.WriteString("\n")
		}
		text := s.out.String()
		golden(t, fmt.Sprintf("testdata/explain_%d.txt", columns), text)
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); columns > 0 && columnsOf(line) > columns || strings.HasSuffix(line, " ") {
				t.Errorf("%d columns: %q has %d", columns, line, columnsOf(line))
			}
		}
		if strings.Contains(text, "\x1b") {
			t.Errorf("%d columns: a control character is printed", columns)
		}
	}
}

// TestWrapped checks that no part is wider than the limit, and that nothing is lost.
func TestWrapped(t *testing.T) {
	for _, text := range []string{"", "a", "one two three", "averyverylongword and more", "データベース接続 a b", "two  spaces"} {
		for width := 1; width < 20; width++ {
			parts := wrapped(text, width)
			for _, part := range parts {
				if columnsOf(part) > max(width, 2) {
					t.Errorf("%q in %d columns: %q", text, width, parts)
				}
			}
			if got, want := strings.Join(parts, ""), text; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
				t.Errorf("%q in %d columns: %q", text, width, parts)
			}
		}
	}
}
