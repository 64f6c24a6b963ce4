package main

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// TestStateTable checks the output of a healthy coordinator and of a degraded one.
func TestStateTable(t *testing.T) {
	well := &pb.GetCoordinatorResponse{
		Build: "v1.2.3", Status: pb.Status_STATUS_SERVING, Uptime: durationpb.New(26 * time.Hour), Services: 2, Instances: 41,
		Watchers: 3, Followers: map[string]uint32{"meshhealth-watch": 40, "grpc-poll": 1}, PollCoverage: 1,
		Breakers: map[string]uint32{"closed": 41},
	}
	ill := &pb.GetCoordinatorResponse{
		Status: pb.Status_STATUS_DEGRADED, Reason: "half of the mesh cannot be reached", Uptime: durationpb.New(time.Second),
		Score: 3, ForgivenAge: durationpb.New(90 * time.Second), PollCoverage: 0.7213, Overrides: 1, Services: 1, Instances: 10,
		Guards: []*pb.Guard{
			{Known: 10, Doubted: 6, Since: timestamppb.New(noon.Add(-time.Minute))},
			{Zone: "eu-1", Known: 4, Doubted: 4, Since: timestamppb.New(noon.Add(-time.Hour)), Faded: true},
		},
		Breakers: map[string]uint32{"closed": 4, "open": 5, "half-open": 1}, OpenTargets: []string{"10.0.0.1:1", escape},
		StoreError: "store: no space left on device", StoreQueue: 7, StoreLost: 8, StoreCommitAge: durationpb.New(12 * time.Second),
		XdsStreams: 1, XdsBehind: 2, XdsRejected: 3, AmnestyUntil: timestamppb.New(noon.Add(40 * time.Second)), Unconfirmed: 6,
		FloodingInstances: []string{"pay/a", "pay/b"}, UnknownServices: []string{"db", "shop"},
	}
	var s shell
	for _, r := range []*pb.GetCoordinatorResponse{well, ill} {
		if err := s.app().printState(&output{format: "table", colour: "auto"}, r); err != nil {
			t.Fatal(err)
		}
		s.out.WriteString("\n")
	}
	golden(t, "testdata/state.txt", s.out.String())
}

// TestState asks a real coordinator, whose configuration names services that do not exist.
func TestState(t *testing.T) {
	l := newLive(t, coordinator.Config{Build: "v9", Policy: health.MeshPolicy{Amnesty: time.Hour, Services: map[string]health.ServicePolicy{
		"pay": {DependsOn: []string{"db"}}, "shop": {Rule: health.AtLeast(1)},
	}}})
	_, address := stockServer(t)
	l.does(0, "register", "pay/a", "--address", address)
	l.becomes("pay/a", pb.Status_STATUS_SERVING)
	l.does(0, "override", "set", "pay", "degraded", "--reason", "x", "--for", "1h")
	l.becomes("pay", pb.Status_STATUS_DEGRADED)
	stdout, _ := l.does(0, "coordinator", "state")
	for _, want := range []string{
		"SERVING", "v9, up for", "0 of 7: well", "1 service, 1 instance (0 unconfirmed), 1 override", "1 grpc-watch",
		"statuses from before the start are kept, for another ",
		"takes records", "the configuration names db, shop, of which nothing is registered",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if stdout, _ := l.does(0, "coordinator", "state", "-o", "json"); !strings.Contains(stdout, `"build":"v9"`) || strings.Count(stdout, "\n") != 1 {
		t.Errorf("%q", stdout)
	}
}
