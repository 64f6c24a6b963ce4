package mesh

import (
	"fmt"
	"net/netip"

	"github.com/meshhealth/meshhealth/health"
)

// checkRoutes checks the routes of all instances against the rules for them. before has the states
// before the changes.
func checkRoutes(m *Mesh, before map[health.ID]health.State, changes []health.Change) error {
	type place struct {
		service  string
		endpoint netip.AddrPort
	}
	shown, present := map[place]int{}, map[place]bool{}
	counted, routable, held := map[string]int{}, map[string]int{}, map[string]int{}
	for id, in := range m.instances {
		s := &in.state
		if err := checkRoute(m, s); err != nil {
			return fmt.Errorf("%s is %s %s, forced: %t, with the route %s (kept: %t): %w", id, s.Status, s.Cause, s.Override != nil, s.Route, s.RouteKept, err)
		}
		if unproven := s.Proof == health.ProofMissing; unproven != (s.Route == health.RouteUnproven) || unproven && s.Endpoint.IsValid() {
			return fmt.Errorf("%s has the proof %s, the route %s and the endpoint %s", id, s.Proof, s.Route, s.Endpoint)
		}
		at := place{id.Service, s.Endpoint}
		present[at] = true
		if s.Route == health.RouteDuplicate || s.Route == health.RouteUnproven {
			continue
		}
		shown[at]++
		if s.Route.Routable() {
			routable[id.Service]++
		}
		if s.Route.Routable() || s.Status == health.NotServing {
			counted[id.Service]++
		}
		if s.Route.Routable() && s.Status == health.NotServing {
			held[id.Service]++
		}
	}
	for at := range present {
		if n := shown[at]; at.endpoint.IsValid() && n != 1 {
			return fmt.Errorf("%d instances of %s are shown at %s, want 1", n, at.service, at.endpoint)
		}
	}
	for name, s := range m.aggregates.services {
		if s.routing.counted != counted[name] || s.routing.routable != routable[name] {
			return fmt.Errorf("%s counts %d of %d, want %d of %d", name, s.routing.routable, s.routing.counted, routable[name], counted[name])
		}
		if held[name] > 0 && !m.starting.loading && 2*(routable[name]-1) >= counted[name] {
			return fmt.Errorf("%s holds %d, although %d of %d receive traffic", name, held[name], routable[name], counted[name])
		}
	}
	return checkLeaving(m, before, changes, counted, routable)
}

// checkRoute checks that a route follows from the status.
func checkRoute(m *Mesh, s *health.State) error {
	want := map[health.Status]health.Route{
		health.Serving: health.RouteHealthy, health.Degraded: health.RouteDegraded, health.NotServing: health.RouteUnhealthy,
		health.Starting: health.RouteUnhealthy, health.Draining: health.RouteDraining, health.Maintenance: health.RouteDraining,
	}
	switch {
	case s.Route == health.RouteDuplicate, s.Route == health.RouteUnproven, s.Status != health.Unknown && s.Route == want[s.Status] && !s.RouteKept:
		return nil
	case s.Status == health.Unknown && s.RouteKept == (s.Route != health.RouteNone):
		return nil
	case s.Status == health.Starting && s.Route == health.RouteNone && s.Unheard && m.starting.amnesty:
		return nil
	case s.Status == health.NotServing && s.Route.Routable() && s.RouteKept && s.Override == nil:
		return nil
	}
	return fmt.Errorf("want %s", want[s.Status])
}

// checkLeaving checks that a silent instance has left only if half of the endpoints remain. It looks at
// calls with one change of a route, because later changes may lower the count.
func checkLeaving(m *Mesh, before map[health.ID]health.State, changes []health.Change, counted, routable map[string]int) error {
	var left *health.Change
	n := 0
	for i := range changes {
		if c := &changes[i]; c.Spec != nil && before[c.ID].Route != c.Route {
			left, n = c, n+1
		}
	}
	if n != 1 || left.Removed || left.Override != nil || left.Route != health.RouteUnhealthy || !before[left.ID].Route.Routable() {
		return nil
	}
	if bySilence := left.Cause == health.CauseUnreachable || left.Cause == health.CauseLeaseExpired; !bySilence {
		return nil
	}
	if name := left.ID.Service; 2*routable[name] < counted[name] {
		return fmt.Errorf("%s left because of %s, and %d of %d receive traffic", left.ID, left.Cause, routable[name], counted[name])
	}
	return nil
}
