package rpc

import (
	"context"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Explain says in words why a name has its status.
func (a adminService) Explain(ctx context.Context, req *pb.ExplainRequest) (*pb.ExplainResponse, error) {
	var v wire.Violations
	id, err := wire.ParseName(req.GetName())
	v.Check("name", err)
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := a.s.allow(ctx, actionRead, id); err != nil {
		return nil, wire.GRPC(err)
	}
	e, ok := a.s.cfg.Feed.Get(id)
	if !ok {
		return nil, grpchealth.NotFound(req.GetName())
	}
	now := time.Now()
	around := &health.Surroundings{Now: now, Members: a.members(id), Find: a.find}
	if a.s.cfg.Services != nil {
		around.Policy = a.s.cfg.Services()[id.Service]
	}
	resp := &pb.ExplainResponse{Health: wire.Health(&e.State, now, true)}
	for _, sentence := range e.Because(around) {
		resp.Sentences = append(resp.Sentences, wire.Clean(sentence))
	}
	return resp, nil
}

func (a adminService) find(id health.ID) (health.State, bool) {
	e, ok := a.s.cfg.Feed.Get(id)
	if !ok {
		return health.State{}, false
	}
	return e.State, true
}

// members returns what an aggregate is made of.
func (a adminService) members(id health.ID) []health.State {
	if !id.Aggregate() || (id == health.ID{}) {
		return nil
	}
	var entries []*feed.Entry
	if id.Service == health.MeshName {
		entries, _ = a.s.cfg.Feed.Snapshot()
	} else {
		entries, _ = a.s.cfg.Feed.Snapshot(id.Service)
	}
	var all []health.State
	for _, e := range entries {
		if memberOf(id, &e.State) {
			all = append(all, e.State)
		}
	}
	return all
}

// memberOf reports whether s counts in the aggregate of this name.
func memberOf(id health.ID, s *health.State) bool {
	zone, part := id.Part()
	switch {
	case part && id.Service == health.MeshName:
		return s.ID == health.PartID(s.ID.Service, zone)
	case part:
		return s.Spec != nil && s.Spec.Zone == zone
	case id.Service == health.MeshName:
		return s.Counts != nil && s.ID.Instance == "" && s.ID != id
	}
	return s.Spec != nil
}
