package mesh

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshhealth/meshhealth/health"
)

// This file decides the route of each instance: what routing clients learn of it. The route
// follows from the published status, with three exceptions:
//
//   - While the status is UNKNOWN, the route stays as it was.
//   - In the amnesty, an instance that was not heard yet has no route.
//   - An instance that is NOT_SERVING because of silence keeps its route if less than half of the
//     endpoints of its service would remain. This limit is the panic threshold.
//   - Of several instances of a service with one endpoint, only one has a route of its own.
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
	// endpoint is the address for traffic. It is not valid while peer is needed and not known.
	endpoint netip.AddrPort
	peer     netip.Addr // IP address of the host, if the host is a name
	// placedSpec and placedPeer are the values from which endpoint was computed.
	placedSpec *health.Spec
	placedPeer netip.Addr
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
	if r.hidden {
		return health.RouteDuplicate, false
	}
	return r.last, r.kept
}

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
	adds := routeCounts{routable: !r.hidden && r.last.Routable()}
	adds.counted = adds.routable || !r.hidden && status == health.NotServing
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
		bySilence := in.route.silent && in.override.forced == nil && !in.route.hidden
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

// sameHost reports whether two registrations have the same host for health calls.
func sameHost(a, b *health.Spec) bool { return hostOf(a) == hostOf(b) }

func hostOf(spec *health.Spec) string {
	return spec.Address[:max(0, strings.LastIndexByte(spec.Address, ':'))]
}

// endpointOf returns the endpoint of an instance. peer is the IP address of its host. The result is
// not valid if the host is a name and peer is not valid.
func endpointOf(spec *health.Spec, peer netip.Addr) netip.AddrPort {
	address := spec.Traffic.Address
	if address == "" {
		address = spec.Address
	}
	if literal, err := netip.ParseAddrPort(address); err == nil {
		return netip.AddrPortFrom(literal.Addr().Unmap(), literal.Port())
	}
	port, err := strconv.ParseUint(address[strings.LastIndexByte(address, ':')+1:], 10, 16)
	if err != nil || !peer.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(peer, uint16(port))
}

// place moves an instance to its endpoint, if this has changed. If another instance is shown because
// of this, place returns it.
func (r *routing) place(in *instance) (shown *instance) {
	if in.route.placedSpec == in.spec && in.route.placedPeer == in.route.peer {
		return nil
	}
	if before := in.route.placedSpec; before != nil && !sameHost(before, in.spec) {
		in.route.peer = netip.Addr{}
	}
	in.route.placedSpec, in.route.placedPeer = in.spec, in.route.peer
	if next := endpointOf(in.spec, in.route.peer); next != in.route.endpoint {
		shown = r.leave(in)
		in.route.endpoint = next
		r.enter(in)
	}
	return shown
}

// restoreRoute sets the route that was loaded from the store.
func (in *instance) restoreRoute(l *Loaded) {
	in.route.peer = l.Endpoint.Addr()
	if l.Route == health.RouteDuplicate {
		in.route.hiddenBefore = true
		return
	}
	in.route.last = l.Route
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

// enter adds an instance at its endpoint. It is hidden if another instance is there.
func (r *routing) enter(in *instance) {
	at := in.route.endpoint
	in.route.hidden = false
	if !at.IsValid() {
		return
	}
	if r.shown == nil {
		r.shown = map[netip.AddrPort]*instance{}
	}
	if r.shown[at] == nil {
		r.shown[at] = in
		return
	}
	if r.hidden == nil {
		r.hidden = map[netip.AddrPort][]*instance{}
	}
	in.route.hidden = true
	r.hidden[at] = append(r.hidden[at], in)
}

// leave removes an instance from its endpoint. If the instance was shown and others are there, it
// returns the one that is shown now.
func (r *routing) leave(in *instance) (shown *instance) {
	at := in.route.endpoint
	switch {
	case !at.IsValid():
		return nil
	case in.route.hidden:
		r.unhide(in)
		return nil
	case r.shown[at] != in:
		return nil
	}
	delete(r.shown, at)
	for _, other := range r.hidden[at] {
		if shown == nil || goesBefore(other, shown) {
			shown = other
		}
	}
	if shown != nil {
		r.unhide(shown)
		r.shown[at] = shown
	}
	return shown
}

func (r *routing) unhide(in *instance) {
	at := in.route.endpoint
	in.route.hidden = false
	others := slices.DeleteFunc(r.hidden[at], func(other *instance) bool { return other == in })
	if r.hidden[at] = others; len(others) == 0 {
		delete(r.hidden, at)
	}
}

// review decides again which instance is shown at the endpoint of in, after in has changed. If this
// is another one than before, review returns it and the one that is hidden now.
func (r *routing) review(in *instance) (shown, hidden *instance) {
	at, proves := in.route.endpoint, in.provesNow()
	fell := in.route.proved && !proves
	in.route.proved = proves
	if len(r.hidden[at]) == 0 {
		return nil, nil
	}
	before := r.shown[at]
	best := before
	switch {
	case in != before:
		best = first(in, before)
	case fell:
		for _, other := range r.hidden[at] {
			best = first(other, best)
		}
	}
	if best == before {
		return nil, nil
	}
	r.unhide(best)
	r.shown[at] = best
	before.route.hidden = true
	r.hidden[at] = append(r.hidden[at], before)
	return best, before
}

func first(a, b *instance) *instance {
	if goesBefore(a, b) {
		return a
	}
	return b
}

// goesBefore reports whether routing clients see a and not b, if both have one endpoint. An instance
// that proves its answers now goes first, and stays as long as it does so. Of the others, the one
// that was proven last goes first. Then follow one that was seen before a restart of the
// coordinator, and the one that was registered last.
func goesBefore(a, b *instance) bool {
	if p, q := a.provesNow(), b.provesNow(); p || q {
		return p && !q
	}
	if a.route.provenAt != b.route.provenAt {
		return a.route.provenAt > b.route.provenAt
	}
	if a.route.hiddenBefore != b.route.hiddenBefore {
		return b.route.hiddenBefore
	}
	if !a.spec.RegisteredAt.Equal(b.spec.RegisteredAt) {
		return a.spec.RegisteredAt.After(b.spec.RegisteredAt)
	}
	return compareInstances(a, b) > 0
}

// provesNow reports whether the registered process has proven its last answer, and nothing since
// then makes the instance suspect.
func (in *instance) provesNow() bool {
	id := &in.reach.lease.identity
	return in.route.provenAt != 0 && !id.stranger && !id.unproved && !in.reach.state.suspect() && !in.reach.state.lost()
}
