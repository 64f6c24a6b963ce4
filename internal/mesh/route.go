package mesh

import (
	"net/netip"
	"slices"

	"github.com/meshhealth/meshhealth/health"
)

// This file decides the route of each instance: what routing clients learn of it. The route
// follows from the published status, with these exceptions:
//
//   - While the status is UNKNOWN, the route stays as it was.
//   - In the amnesty, an instance that was not heard yet has no route.
//   - An instance that is NOT_SERVING because of silence keeps its route if less than half of the
//     endpoints of its service would remain. This limit is the panic threshold.
//   - Of several instances of a service with one endpoint, only one has a route of its own.
//   - An instance without a proof of its endpoint has no route (see health.EndpointProof).
//
// So neither a restart of the coordinator nor a broken network takes all endpoints of a service out
// of traffic.

// panicShare says which part of the endpoints of a service must remain when a silent instance leaves:
// one of panicShare.
const panicShare = 2

// routing has the routes of the instances of one service.
type routing struct {
	// shown has the instance that routing clients see at each endpoint. hidden has the others.
	shown  map[netip.AddrPort]*instance
	hidden map[netip.AddrPort][]*instance
	// counted is the number of endpoints that the panic threshold looks at, and routable is how
	// many of them receive traffic.
	counted, routable int
	reviewing         bool // true while reviewHeld runs
	// held has the silent instances that keep their route because of the panic threshold, in the
	// order in which they became silent.
	held []*instance
}

// route is the route of one instance.
type route struct {
	// last is what routing clients saw last, or would have seen if the instance had not been hidden.
	last health.Route
	kept bool // true if last is kept although the status says something else
	held bool // true if the instance is in routing.held
	// hidden is true if routing clients see another instance at the endpoint.
	hidden bool
	// silent is true if the status was NOT_SERVING because of silence when it was NOT_SERVING last.
	// While flap damping holds the status, silent says why it was NOT_SERVING.
	silent bool
	adds   routeCounts
	// endpoint is the address for traffic. It is not valid while peer is needed and not known, and
	// while the instance is unproven.
	endpoint netip.AddrPort
	peer     netip.Addr // IP address of the host, if the host is a name
	// placed has the values from which endpoint and proof were computed.
	placed placement
	// proof is the best proof of the endpoint: that of the registration, or shown.
	proof health.EndpointProof
	shown shownProof
	// hiddenBefore is true if routing clients did not see the instance before the coordinator started,
	// because another instance was at its endpoint.
	hiddenBefore bool
	proved       bool   // result of provesNow when the endpoint was reviewed last
	provenAt     moment // moment of the last answer with a proof of the process key; 0: none
}

// routeCounts is what one instance adds to the counts of its service.
type routeCounts struct{ counted, routable bool }

func (r *routing) count(adds routeCounts, sign int) {
	if adds.counted {
		r.counted += sign
	}
	if adds.routable {
		r.routable += sign
	}
}

// mayLeave reports whether enough endpoints remain if an instance leaves that adds the counts adds.
func (r *routing) mayLeave(adds routeCounts) bool {
	counted, routable := r.counted, r.routable
	if !adds.counted {
		counted++
	}
	if adds.routable {
		routable--
	}
	return routable*panicShare >= counted
}

// published returns the route in the state of the instance.
func (r *route) published() (_ health.Route, kept bool) {
	switch {
	case r.unproven():
		return health.RouteUnproven, false
	case r.hidden:
		return health.RouteDuplicate, false
	}
	return r.last, r.kept
}

// absent reports whether routing clients do not see the instance, whatever its status is.
func (r *route) absent() bool { return r.hidden || r.unproven() }

func (r *route) unproven() bool { return r.proof == health.ProofMissing }

// noteVerdict notes why the instance is NOT_SERVING. v is the verdict before flap damping.
func (in *instance) noteVerdict(v verdict) {
	if v.status == health.NotServing {
		bySilence := v.cause == health.CauseUnreachable || v.cause == health.CauseLeaseExpired
		said := in.report.hasReceived && !in.report.lowered && !in.reach.state.lostBySilence()
		in.route.silent = bySilence && !said
	}
}

// starting says in which part of its start the coordinator is.
type starting struct {
	loading bool // instances are loaded from the store, so the counts of services are not complete
	amnesty bool // instances that were not loaded may not have been heard yet
}

// decideRoute updates the route of an instance whose status is status. It updates the counts of the
// service, and returns true if silent instances that are held may now leave.
func (in *instance) decideRoute(now starting, status health.Status) (review bool) {
	r, s := &in.route, &in.service.routing
	var held bool
	r.last, r.kept, held = in.nextRoute(now, status)
	if held != r.held {
		s.hold(in, held)
	}
	adds := routeCounts{routable: !r.absent() && r.last.Routable()}
	adds.counted = adds.routable || !r.absent() && status == health.NotServing
	if adds == r.adds {
		return false
	}
	s.count(r.adds, -1)
	s.count(adds, +1)
	r.adds = adds
	return true
}

// nextRoute returns the route that follows from the status. held is true if the panic threshold
// keeps the route.
func (in *instance) nextRoute(now starting, status health.Status) (_ health.Route, kept, held bool) {
	last := in.route.last
	switch status {
	case health.Serving:
		return health.RouteHealthy, false, false
	case health.Degraded:
		return health.RouteDegraded, false, false
	case health.Draining, health.Maintenance:
		return health.RouteDraining, false, false
	case health.Unknown:
		return last, last != health.RouteNone, false
	case health.Starting:
		if last == health.RouteNone && in.report.unheard && now.amnesty {
			return last, false, false
		}
	case health.NotServing:
		bySilence := in.route.silent && in.override.forced == nil && !in.route.absent()
		if bySilence && last.Routable() && (now.loading || !in.service.routing.mayLeave(in.route.adds)) {
			return last, true, true
		}
	}
	return health.RouteUnhealthy, false, false
}

func (r *routing) hold(in *instance, held bool) {
	in.route.held = held
	if held {
		r.held = append(r.held, in)
		return
	}
	i := slices.Index(r.held, in)
	r.held = slices.Delete(r.held, i, i+1)
}

// reviewHeld lets silent instances leave, as long as the panic threshold permits it.
func (m *Mesh) reviewHeld(s *serviceAggregate) {
	r := &s.routing
	if r.reviewing || m.starting.loading {
		return
	}
	r.reviewing = true
	for len(r.held) > 0 && r.mayLeave(r.held[0].route.adds) {
		m.updateState(r.held[0])
	}
	r.reviewing = false
}

// setStarting says in which part of its start the coordinator is now. It decides the routes that had
// to wait for the next part.
func (m *Mesh) setStarting(now starting) {
	if now == m.starting {
		return
	}
	m.starting = now
	var waiting []*instance
	for _, in := range m.instances {
		if in.route.held || in.route.last == health.RouteNone {
			waiting = append(waiting, in)
		}
	}
	slices.SortFunc(waiting, compareInstances)
	for _, in := range waiting {
		m.updateState(in)
	}
}

// restoreRoute sets the route that was loaded from the store.
func (in *instance) restoreRoute(l *Loaded) {
	in.route.peer, in.route.shown = l.Endpoint.Addr(), shownProof{l.Proof, l.Endpoint.Addr()}
	switch l.Route {
	case health.RouteDuplicate:
		in.route.hiddenBefore = true
	case health.RouteUnproven:
	default:
		in.route.last = l.Route
	}
}

// leaveRouting removes an instance from the routing of its service. Another instance may then be
// shown at its endpoint.
func (m *Mesh) leaveRouting(in *instance) {
	s := &in.service.routing
	if in.route.held {
		s.hold(in, false)
	}
	s.count(in.route.adds, -1)
	in.route.adds = routeCounts{}
	if shown := s.leave(in); shown != nil {
		m.updateState(shown)
	}
	m.reviewHeld(in.service)
}
