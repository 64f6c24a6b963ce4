package main

import (
	"testing"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// routed returns an instance of payments in the region eu.
func routed(instance, zone string, s pb.Status, r pb.Route, endpoint string, envoy, plain *pb.Placement, why string) *pb.RoutedInstance {
	return &pb.RoutedInstance{
		Health: &pb.Health{
			Service: "payments", Instance: instance, Status: s, Route: r, Endpoint: endpoint, Region: "eu", Zone: zone,
			Traffic: &pb.Traffic{Weight: uint32(len(zone))},
		},
		Spillover: envoy, Plain: plain, Why: why,
	}
}

// TestRoutesTable checks the output of routes: each route, three localities, and an empty service.
func TestRoutesTable(t *testing.T) {
	envoy := func(health string) *pb.Placement { return &pb.Placement{Present: true, Health: health} }
	healthy := func(weight uint32) *pb.Placement {
		return &pb.Placement{Present: true, Health: "HEALTHY", LocalityWeight: weight}
	}
	degraded := &pb.Placement{Present: true, Health: "HEALTHY", SubZone: "degraded", LocalityWeight: 3000}
	standby := &pb.Placement{Present: true, Health: "HEALTHY", SubZone: "degraded", LocalityWeight: 10000, Priority: 1}
	full := &pb.ListRoutesResponse{HealthyPercent: 70, Counted: 7, Routable: 5, Held: 1, Instances: []*pb.RoutedInstance{
		routed("a", "eu-1", pb.Status_STATUS_SERVING, pb.Route_ROUTE_HEALTHY, "10.0.0.1:9000", envoy("HEALTHY"), healthy(5250), "it is SERVING"),
		routed("b", "eu-1", pb.Status_STATUS_NOT_SERVING, pb.Route_ROUTE_HEALTHY, "10.0.0.2:9000", envoy("HEALTHY"), healthy(5250), "it cannot be reached"),
		routed("c", "eu-1", pb.Status_STATUS_UNKNOWN, pb.Route_ROUTE_HEALTHY, "10.0.0.3:9000", envoy("HEALTHY"), healthy(5250), "it is UNKNOWN, so its route stays as it was"),
		routed("d", "", pb.Status_STATUS_SERVING, pb.Route_ROUTE_HEALTHY, "[fd00::4]:9000", envoy("HEALTHY"), healthy(1750), "it is SERVING"),
		routed("e", "eu-2", pb.Status_STATUS_DEGRADED, pb.Route_ROUTE_DEGRADED, "10.0.0.5:9000", envoy("DEGRADED"), degraded, "it is DEGRADED by an override"),
		routed("f", "eu-2", pb.Status_STATUS_NOT_SERVING, pb.Route_ROUTE_UNHEALTHY, "10.0.0.6:9000", envoy("UNHEALTHY"), nil, "it is NOT_SERVING"),
		routed("g", "eu-2", pb.Status_STATUS_MAINTENANCE, pb.Route_ROUTE_DRAINING, "10.0.0.7:9000", envoy("DRAINING"), &pb.Placement{}, "it is MAINTENANCE"),
		routed("h", "eu-2", pb.Status_STATUS_SERVING, pb.Route_ROUTE_DUPLICATE, "10.0.0.7:9000", nil, nil, escape),
		routed("i", "eu-2", pb.Status_STATUS_STARTING, pb.Route_ROUTE_NONE, "", nil, nil, "it is STARTING, and nothing else was ever known of it"),
	}}
	spare := &pb.ListRoutesResponse{HealthyPercent: 100, Counted: 2, Routable: 2, Instances: []*pb.RoutedInstance{
		routed("a", "eu-1", pb.Status_STATUS_SERVING, pb.Route_ROUTE_HEALTHY, "10.0.0.1:9000", envoy("HEALTHY"), healthy(10000), "it is SERVING"),
		routed("b", "eu-1", pb.Status_STATUS_DEGRADED, pb.Route_ROUTE_DEGRADED, "10.0.0.2:9000", envoy("DEGRADED"), standby, "it is DEGRADED"),
	}}
	s := shell{env: map[string]string{"LANG": "C.UTF-8"}}
	for _, r := range []*pb.ListRoutesResponse{full, spare, {}} {
		if err := printRoutes(s.app(), &output{format: "table", colour: "auto"}, "payments", r); err != nil {
			t.Fatal(err)
		}
		s.out.WriteString("\n")
	}
	golden(t, "testdata/routes.txt", s.out.String())
}
