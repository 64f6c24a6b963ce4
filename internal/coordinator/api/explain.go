package api

import (
	"context"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/explain"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Explain returns sentences for people that explain the status of a name.
func (a adminService) Explain(ctx context.Context, req *pb.ExplainRequest) (*pb.ExplainResponse, error) {
	var v wire.Violations
	id, err := wire.ParseName(req.GetName())
	v.Check("name", err)
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := a.cfg.check(ctx, access.Inspect, access.Of(id)); err != nil {
		return nil, err
	}
	now, in := time.Now(), inspector{a.cfg.Feed.Cut(), a.cfg.caller(ctx)}
	e, ok := in.cut.Get(id)
	if !ok {
		return nil, grpchealth.NotFound(req.GetName())
	}
	input := &explain.Input{Now: now, Members: in.members(id), Find: in.find}
	if a.cfg.Services != nil {
		input.Policy = a.cfg.Services()[id.Service]
	}
	resp := &pb.ExplainResponse{Health: wire.Health(&e.State, now, true)}
	for _, sentence := range explain.Sentences(&e.State, input) {
		resp.Sentences = append(resp.Sentences, wire.Clean(sentence))
	}
	return resp, nil
}

// inspector reads states for one caller. It returns only states that this caller may inspect.
type inspector struct {
	cut    feed.Cut
	caller access.Caller
}

func (in inspector) may(id health.ID) bool { return in.caller.May(access.Inspect, access.Of(id)) }

// find returns the state of a name. It returns false if the name is not in the feed, or if
// the caller may not inspect it.
func (in inspector) find(id health.ID) (health.State, bool) {
	e, ok := in.cut.Get(id)
	if !ok || !in.may(id) {
		return health.State{}, false
	}
	return e.State, true
}

// members returns those members of an aggregate that the caller may inspect. If id names an
// instance, members returns nil.
func (in inspector) members(id health.ID) []health.State {
	if !id.Aggregate() || (id == health.ID{}) {
		return nil
	}
	var services []string // services to read; an empty list means all services
	if id.Service != health.MeshName {
		services = []string{id.Service}
	}
	var all []health.State
	for e := range in.cut.Of(services...) {
		if isMember(id, &e.State) && in.may(e.ID) {
			all = append(all, e.State)
		}
	}
	return all
}

// isMember reports whether s is a member of the given aggregate.
func isMember(aggregate health.ID, s *health.State) bool {
	zone, isZone := aggregate.Zone()
	switch {
	case isZone && aggregate.Service == health.MeshName:
		return s.ID != aggregate && s.ID == health.ZoneID(s.ID.Service, zone)
	case isZone:
		return s.Spec != nil && s.Spec.Zone == zone
	case aggregate.Service == health.MeshName:
		return s.Counts != nil && s.ID.Instance == "" && s.ID != aggregate
	}
	return s.Spec != nil
}
