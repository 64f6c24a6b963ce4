package plan

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
)

// decision is what the routes of an object's instances say about the object.
type decision struct {
	known    bool // false: nothing is known, and the object keeps its condition
	value    Value
	degraded bool // true if all instances receive traffic and one of them is DEGRADED
}

// ranks has the effect of each route on an object. The instance with the highest rank decides.
var ranks = [health.NumRoutes]struct {
	rank   int // 0: the instance does not count
	reason string
	status string
}{
	// Another instance has the endpoint, and decides.
	health.RouteDuplicate: {},
	// Nothing proves that the endpoint is of the object, so the instance says nothing about it.
	health.RouteUnproven: {},
	health.RouteHealthy:  {1, "Serving", True},
	health.RouteDegraded: {2, "Degraded", True},
	// An instance that was never known: the object cannot be routable yet, and need not leave.
	health.RouteNone:      {3, "", ""},
	health.RouteDraining:  {4, "Draining", False},
	health.RouteUnhealthy: {5, "NotServing", False},
}

// decide returns the decision about an object with these instances. The object is routable if all of
// them are. heard has the instances that the coordinator has heard since its start.
func decide(kind Kind, all []*Instance, heard map[health.ID]bool) decision {
	var worst *Instance
	var route health.Route // of worst
	for _, i := range all {
		is := i.route(kind, heard)
		rank, highest := ranks[is].rank, ranks[route].rank
		if rank > 0 && (worst == nil || rank > highest || rank == highest && i.ID.String() < worst.ID.String()) {
			worst, route = i, is
		}
	}
	if worst == nil || route == health.RouteNone {
		return decision{}
	}
	r := ranks[route]
	message := fmt.Sprintf("%s is %v (%v)", worst.ID, worst.Status, worst.Cause)
	return decision{known: true, value: Value{Status: r.status, Reason: r.reason, Message: message}, degraded: route == health.RouteDegraded}
}

// route returns the route that counts for an object of a kind. STARTING may only mean that the
// coordinator has lost its store: it is no evidence until the coordinator has heard the instance. It
// is none at all for a Pod, because kubelet knows better whether a container has restarted.
func (i *Instance) route(kind Kind, heard map[health.ID]bool) health.Route {
	if i.Status == health.Starting && i.Route == health.RouteUnhealthy && (kind == Pod || !heard[i.ID]) {
		return health.RouteNone
	}
	return i.Route
}
