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
	health.RouteHealthy:   {1, "Serving", True},
	health.RouteDegraded:  {2, "Degraded", True},
	// An instance that was never known: the object cannot be routable yet, and need not leave.
	health.RouteNone:      {3, "", ""},
	health.RouteDraining:  {4, "Draining", False},
	health.RouteUnhealthy: {5, "NotServing", False},
}

// decide returns the decision about an object with these instances. The object is routable if all of
// them are.
func decide(all []*Instance) decision {
	var worst *Instance
	rank := 0
	for _, i := range all {
		r := ranks[i.Route].rank
		if r > rank || r == rank && r > 0 && i.ID.String() < worst.ID.String() {
			worst, rank = i, r
		}
	}
	if worst == nil || worst.Route == health.RouteNone {
		return decision{}
	}
	r := ranks[worst.Route]
	message := fmt.Sprintf("%s is %v (%v)", worst.ID, worst.Status, worst.Cause)
	return decision{known: true, value: Value{Status: r.status, Reason: r.reason, Message: message}, degraded: worst.Route == health.RouteDegraded}
}
