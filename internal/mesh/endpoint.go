package mesh

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshhealth/meshhealth/health"
)

// This file decides the endpoint of each instance: whether it is proven, and which of several instances routing clients
// see at it.

// placement has the values from which the endpoint of an instance follows.
type placement struct {
	spec  *health.Spec
	peer  netip.Addr
	shown shownProof
}

// shownProof is the best proof that came after the registration, and the IP address at which it was found. It
// counts while the endpoint has this address. The zero value is no proof.
type shownProof struct {
	proof health.EndpointProof
	at    netip.Addr
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

// sameTarget reports whether two registrations have the same address for health calls and the same
// registrant. What a dial has shown for one then holds for the other.
func sameTarget(a, b *health.Spec) bool {
	return a.Address == b.Address && a.Registrant == b.Registrant
}

// connected handles that the coordinator has dialled the address of the instance.
func (r *route) connected(ev *Event) {
	r.peer = ev.Peer.Unmap()
	r.show(ev.Proof, r.peer)
}

// show handles a proof that was found at an IP address. It replaces a proof that was found elsewhere.
func (r *route) show(p health.EndpointProof, at netip.Addr) {
	switch {
	case p <= health.ProofMissing || !at.IsValid():
	case r.shown.at != at:
		r.shown = shownProof{p, at}
	default:
		r.shown.proof = max(r.shown.proof, p)
	}
}

// place moves an instance to its endpoint, if this has changed. If another instance is shown because
// of this, place returns it.
func (r *routing) place(in *instance) (shown *instance) {
	rt := &in.route
	if before := rt.placed.spec; before != nil && before != in.spec {
		if !sameHost(before, in.spec) {
			rt.peer = netip.Addr{}
		}
		if !sameTarget(before, in.spec) {
			rt.shown = shownProof{}
		}
	}
	placed := placement{in.spec, rt.peer, rt.shown}
	if rt.placed == placed {
		return nil
	}
	rt.placed = placed
	next := endpointOf(in.spec, rt.peer)
	rt.proof = in.spec.Proof
	if rt.shown.at == next.Addr() {
		rt.proof = max(rt.proof, rt.shown.proof)
	}
	if rt.unproven() {
		next = netip.AddrPort{}
	}
	if next != rt.endpoint {
		shown = r.leave(in)
		rt.endpoint = next
		r.enter(in)
	}
	return shown
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
