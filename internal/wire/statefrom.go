package wire

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// StateFromHealth returns the state that a message describes. The times in the state are times of
// the sender's clock. registered is false if the message says that the name is not registered.
// Fields of health.State that a message cannot contain are zero.
func StateFromHealth(h *pb.Health) (s health.State, registered bool) {
	status, registered := health.StatusFromWire(int32(h.GetStatus()))
	s = health.State{
		ID:     health.ID{Service: h.GetService(), Instance: h.GetInstance()},
		Status: status, Cause: health.CauseFromWire(int32(h.GetCause())), Reason: h.GetReason(),
		Since: timeFrom(h.GetSince()), FirstFailure: timeFrom(h.GetFirstFailure()),
		Unconfirmed: h.GetUnconfirmed(), Root: h.GetRoot(), Affected: int(h.GetAffected()),
		NextAt: timeFrom(h.GetNextAt()), NextCause: health.CauseFromWire(int32(h.GetNextCause())),
		Override: overrideFrom(h.GetOverride()), Spec: specFrom(h),
		Checks: checksFrom(h.GetChecks(), timeFrom(h.GetAt())), Metrics: MetricsFrom(h.GetMetrics()),
		Counts: countsFrom(h.GetCounts()), Removed: h.GetRemoved(), Revision: h.GetRevision(),
		Route: health.RouteFromWire(int32(h.GetRoute())), RouteKept: h.GetRouteKept(), Endpoint: endpointFrom(h.GetEndpoint()),
		Proof:        health.EndpointProofFromWire(int32(h.GetEndpointProof())),
		Dependencies: dependenciesFrom(h.GetDependencies()),
	}
	return s, registered
}

// specFrom returns the part of a registration that a message contains. It returns nil for an
// aggregate.
func specFrom(h *pb.Health) *health.Spec {
	_, part := health.ID{Service: h.GetService(), Instance: h.GetInstance()}.Zone()
	if h.GetInstance() == "" || part {
		return nil
	}
	return &health.Spec{
		Address: h.GetAddress(), Labels: h.GetLabels(), Zone: h.GetZone(), Version: h.GetVersion(),
		Incarnation: h.GetIncarnation(), Static: h.GetStatic(),
		Traffic: trafficFrom(h.GetTraffic()), Region: h.GetRegion(), Source: h.GetSource(),
	}
}

func countsFrom(c *pb.Counts) *health.Counts {
	if c == nil {
		return nil
	}
	counts := &health.Counts{Counted: int(c.GetCounted()), Unconfirmed: int(c.GetUnconfirmed())}
	counts.By[health.Serving], counts.By[health.Degraded] = int(c.GetServing()), int(c.GetDegraded())
	counts.By[health.NotServing], counts.By[health.Unknown] = int(c.GetNotServing()), int(c.GetUnknown())
	counts.By[health.Starting], counts.By[health.Draining] = int(c.GetStarting()), int(c.GetDraining())
	counts.By[health.Maintenance] = int(c.GetMaintenance())
	return counts
}

func dependenciesFrom(list []*pb.Dependency) []health.Dependency {
	if len(list) == 0 {
		return nil
	}
	out := make([]health.Dependency, len(list))
	for i, d := range list {
		out[i] = health.Dependency{Service: d.GetService(), Soft: d.GetSoft()}
	}
	return out
}

func overrideFrom(o *pb.Override) *health.Override {
	if o == nil {
		return nil
	}
	status, _ := health.StatusFromWire(int32(o.GetStatus()))
	scope, _ := health.ParseScope(o.GetScope()) // if only a newer release can parse the text, the scope is zero, which matches nothing
	return &health.Override{
		Scope: scope, Status: status, Author: o.GetAuthor(), Reason: o.GetReason(),
		SetAt: timeFrom(o.GetSetAt()), ExpiresAt: timeFrom(o.GetExpiresAt()),
	}
}

// timeFrom converts a timestamp. It returns the zero time for nil.
func timeFrom(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
