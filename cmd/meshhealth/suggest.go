package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/input"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// unknownName returns an error about a name that is not registered. Its hint lists similar names.
func (conn *connection) unknownName(ctx context.Context, name string) error {
	if near := conn.near(ctx, name); len(near) > 0 {
		return hinted(fmt.Sprintf("Did you mean %s?", alternatives(near)), "%s is not registered", name)
	}
	return hinted("`meshhealth status` lists the registered names.", "%s is not registered", name)
}

// near returns registered names that are similar to a mistyped name. It prefers instances of the
// same service, then instances of similar services, then similar services. If the coordinator does
// not answer, the result is empty, because the names are used only in a hint.
func (conn *connection) near(ctx context.Context, name string) []string {
	id := health.ParseID(name)
	if id.Instance == "" {
		services := conn.names(ctx, &pb.Selector{AggregatesOnly: true})
		return input.Near(name, slices.DeleteFunc(services, func(s string) bool { return s == health.MeshName }))
	}
	if near := conn.nearInstances(ctx, name, id.Service); len(near) > 0 {
		return near
	}
	services := input.Near(id.Service, conn.names(ctx, &pb.Selector{AggregatesOnly: true}))
	if len(services) == 0 {
		return nil
	}
	if near := conn.nearInstances(ctx, name, services...); len(near) > 0 {
		return near
	}
	return services
}

// nearInstances returns the instances of the given services whose names are similar to name. If name
// is a service in one zone, it returns similar zones instead.
func (conn *connection) nearInstances(ctx context.Context, name string, services ...string) []string {
	isZone := func(name string) bool {
		_, zone := health.ParseID(name).Zone()
		return zone
	}
	names := conn.names(ctx, &pb.Selector{Services: services})
	return input.Near(name, slices.DeleteFunc(names, func(other string) bool {
		return health.ParseID(other).Instance == "" || isZone(other) != isZone(name)
	}))
}

// names returns the names of all entries that s selects. After an error it returns no names.
func (conn *connection) names(ctx context.Context, s *pb.Selector) (names []string) {
	for h, err := range conn.list(ctx, s) {
		if err != nil {
			return nil
		}
		// The empty name stands for the server itself, and is not useful as a hint.
		if name := wire.Clean(nameOf(h)); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// unknownScope returns an error about a scope that matches no instance. Its hint lists similar names.
func (conn *connection) unknownScope(ctx context.Context, text string) error {
	scope, err := wire.ParseScope(text)
	if err == nil && !strings.Contains(text, "=") {
		return conn.unknownName(ctx, text)
	}
	hint := "`meshhealth status --all` lists all names, `meshhealth status NAME -o json` prints their labels."
	if near := conn.near(ctx, scope.Service); scope.Service != "" && len(near) > 0 && near[0] != scope.Service {
		hint = fmt.Sprintf("Did you mean service=%s?", alternatives(near))
	} else if scope.Zone != "" {
		if near := input.Near(scope.Zone, conn.zones(ctx)); len(near) > 0 && near[0] != scope.Zone {
			hint = fmt.Sprintf("Did you mean zone=%s?", alternatives(near))
		}
	}
	return hinted(hint, "%s matches no registered instance", text)
}

func (conn *connection) zones(ctx context.Context) (zones []string) {
	for _, name := range conn.names(ctx, &pb.Selector{Services: []string{health.MeshName}}) {
		if zone, ok := health.ParseID(name).Zone(); ok {
			zones = append(zones, zone)
		}
	}
	return zones
}
