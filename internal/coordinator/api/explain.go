package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/explain"
	"github.com/meshhealth/meshhealth/internal/grpchealth"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// inspectFor is the longest time for which Explain waits for the mesh. After that, it explains
// without the layers and with the announced change only.
const inspectFor = time.Second

// Explain explains the status of a name.
func (a adminService) Explain(ctx context.Context, req *pb.ExplainRequest) (*pb.ExplainResponse, error) {
	var v wire.Violations
	id, err := wire.ParseName(req.GetName())
	v.Check("name", err)
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := a.cfg.checkEvidence(ctx, access.Of(id)); err != nil {
		return nil, err
	}
	in := inspector{a.cfg.Feed.Cut(), a.cfg.Access.Rights(ctx)}
	if _, ok := in.cut.Get(id); !ok {
		return nil, grpchealth.NotFound(req.GetName())
	}
	inspection := a.inspect(ctx, id, in.members(id))
	in.cut = a.cfg.Feed.Cut() // it is at least as new as the inspection
	e, ok := in.cut.Get(id)
	if !ok {
		return nil, grpchealth.NotFound(req.GetName())
	}
	state := in.state(e)
	if inspection != nil {
		state = in.filtered(inspection.State)
	}
	input := &explain.Input{
		Now: time.Now(), Policy: a.policies(), Members: in.members(id), Find: in.find, May: in.may, Worst: in.worst, Inspection: inspection,
	}
	explained := explain.Explain(&state, input)
	resp := explainResponse(&state, input.Now, &explained)
	if !in.rights.ReadsAll() {
		wire.Filter(resp.GetHealth(), in.rights.Reads)
	}
	return resp, nil
}

// policies returns a function that returns the policy of a service.
func (a adminService) policies() func(string) health.ServicePolicy {
	if a.cfg.Services == nil {
		return nil
	}
	services := a.cfg.Services()
	return func(service string) health.ServicePolicy { return services[service] }
}

// inspect asks the mesh about a name. members are the members of an aggregate. It returns nil if the
// mesh does not answer in time, or does not know the name. The coordinator's own name is not a part
// of the mesh.
func (a adminService) inspect(ctx context.Context, id health.ID, members []health.State) *mesh.Inspection {
	if id == (health.ID{}) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, inspectFor)
	defer cancel()
	v, ok, err := a.cfg.Registry.Inspect(ctx, id, soonest(members))
	if err != nil || !ok {
		return nil
	}
	return &v
}

// soonest returns the instances whose status will probably change first: those with an announced
// change, then those that are not SERVING. It returns at most mesh.MaxMembers of them.
func soonest(members []health.State) []health.ID {
	order := make([]*health.State, len(members))
	for i := range members {
		order[i] = &members[i]
	}
	slices.SortFunc(order, func(x, y *health.State) int {
		return cmp.Or(compareTimes(x.NextAt, y.NextAt), explain.Worse(x, y))
	})
	var ids []health.ID
	for _, m := range order[:min(len(order), mesh.MaxMembers)] {
		ids = append(ids, m.ID)
	}
	return ids
}

// compareTimes compares two times. The zero time is the latest.
func compareTimes(x, y time.Time) int {
	switch {
	case x.IsZero() == y.IsZero():
		return x.Compare(y)
	case x.IsZero():
		return 1
	}
	return -1
}

// inspector reads states for one caller. It returns only states that this caller may inspect.
type inspector struct {
	cut    feed.Cut
	rights *access.Rights
}

func (in inspector) may(id health.ID) bool {
	return in.rights.Detail(access.Of(id)) >= access.Evidence
}

// find returns the state of a name. It returns false if the name is not in the feed, or if
// the caller may not inspect it.
func (in inspector) find(id health.ID) (health.State, bool) {
	e, ok := in.cut.Get(id)
	if !ok || !in.may(id) {
		return health.State{}, false
	}
	return in.state(e), true
}

// state returns the state of an entry without what depends on names that the caller may not read.
func (in inspector) state(e *feed.Entry) health.State { return in.filtered(e.State) }

func (in inspector) filtered(s health.State) health.State {
	if !in.rights.ReadsAll() {
		s.Root, s.Affected = "", 0
	}
	return s
}

// worst returns the worst instance of a service, of those that the caller may inspect.
func (in inspector) worst(service string) (health.State, bool) {
	var worst *health.State
	for e := range in.cut.Of(service) {
		if e.Spec != nil && (worst == nil || explain.Worse(&e.State, worst) < 0) && in.may(e.ID) {
			worst = &e.State
		}
	}
	if worst == nil {
		return health.State{}, false
	}
	return in.filtered(*worst), true
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
			all = append(all, in.state(e))
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
