package routing

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/meshhealth/meshhealth/health"
)

// WeightScale is the sum of the locality weights of one priority, apart from rounding.
const WeightScale = 10_000

// SubZoneDegraded is the sub-zone of a locality of the plain rendering that has degraded endpoints.
const SubZoneDegraded = "degraded"

// Endpoint is one instance of a service as a routing client reaches it.
type Endpoint struct {
	// Instance is the name of the instance. It is unique in the service.
	Instance string
	// Address is the traffic address. An endpoint whose address is not valid, or has port 0, is
	// absent from every rendering.
	Address netip.AddrPort
	// Weight is the part of the traffic relative to the other endpoints, from 1 to health.MaxWeight. 0
	// means 1.
	Weight       uint32
	Region, Zone string
	Route        health.Route
}

// EndpointOf returns the endpoint of an instance from its state.
func EndpointOf(s *health.State) Endpoint {
	e := Endpoint{Instance: s.ID.Instance, Address: s.Endpoint, Route: s.Route}
	if s.Spec != nil {
		e.Weight, e.Region, e.Zone = s.Spec.Traffic.EffectiveWeight(), s.Spec.Region, s.Spec.Zone
	}
	return e
}

// weight returns the weight with its default and its limit applied.
func (e *Endpoint) weight() uint64 { return uint64(min(max(e.Weight, 1), health.MaxWeight)) }

// usable reports whether e may be rendered with one of the given routes.
func (e *Endpoint) usable(routes []health.Route) bool {
	return slices.Contains(routes, e.Route) && e.Address.Addr().IsValid() && e.Address.Port() != 0
}

// Locality is a group of endpoints in one place. A client first chooses a priority, then a locality
// by its weight, and then an endpoint by its weight.
type Locality struct {
	Region, Zone string
	// SubZone is SubZoneDegraded or empty.
	SubZone string
	// Priority is 0 or 1. A client uses priority 1 only when priority 0 has no usable endpoint.
	Priority uint32
	// Weight is the part of the traffic of this priority, from 1 to WeightScale.
	Weight uint32
	// Endpoints are the indexes of the endpoints in the argument of SpillOver or Plain, in the order
	// of their instance names. The list is never empty.
	Endpoints []int
}

// selected returns the indexes of the endpoints that may be rendered with one of the routes, in the
// order of their instance names. Of the endpoints with one address it returns only one. It is the one
// with the first route in routes, and of these the one with the first instance name.
func selected(endpoints []Endpoint, routes []health.Route) []int {
	best := addressSet{make(map[uint64]int32, len(endpoints)), map[netip.AddrPort]int32{}}
	indexes := make([]int, 0, len(endpoints))
	for i := range endpoints {
		e := &endpoints[i]
		if !e.usable(routes) {
			continue
		}
		if at, taken := best.add(e.Address, int32(len(indexes))); !taken {
			indexes = append(indexes, i)
		} else if before(e, &endpoints[indexes[at]], routes) {
			indexes[at] = i
		}
	}
	slices.SortFunc(indexes, func(a, b int) int { return strings.Compare(endpoints[a].Instance, endpoints[b].Instance) })
	return indexes
}

// addressSet has the addresses of endpoints, each with a number. The two forms of an IPv4 address are
// equal. Two maps are faster than one with the longer keys.
type addressSet struct {
	v4 map[uint64]int32
	v6 map[netip.AddrPort]int32
}

func (s *addressSet) add(a netip.AddrPort, n int32) (at int32, taken bool) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		b := ip.As4()
		key := uint64(binary.BigEndian.Uint32(b[:]))<<16 | uint64(a.Port())
		if at, taken = s.v4[key]; !taken {
			s.v4[key] = n
		}
		return at, taken
	}
	if at, taken = s.v6[a]; !taken {
		s.v6[a] = n
	}
	return at, taken
}

// before reports whether a is rendered instead of b, if both have the same address.
func before(a, b *Endpoint, routes []health.Route) bool {
	if a.Route != b.Route {
		return slices.Index(routes, a.Route) < slices.Index(routes, b.Route)
	}
	return a.Instance < b.Instance
}

// place is where a group of endpoints is.
type place struct{ region, zone, subZone string }

func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(p.subZone, other.subZone), cmp.Compare(p.region, other.region), cmp.Compare(p.zone, other.zone))
}

// group has the endpoints of one place.
type group struct {
	place
	endpoints []int
	sum       uint64 // sum of the weights of the endpoints
}

// grouped divides endpoints into groups. The groups come in the order of their places, those without
// a sub-zone first. The endpoints of a group come in the order of indexes.
func grouped(endpoints []Endpoint, indexes []int, subZone func(*Endpoint) string) []*group {
	byPlace := map[place]*group{}
	var groups []*group
	var g *group // of the endpoint before, which is often that of the next one
	for _, i := range indexes {
		e := &endpoints[i]
		at := place{e.Region, e.Zone, subZone(e)}
		if g == nil || g.place != at {
			g = byPlace[at]
		}
		if g == nil {
			g = &group{place: at}
			byPlace[at], groups = g, append(groups, g)
		}
		g.endpoints = append(g.endpoints, i)
		g.sum += e.weight()
	}
	slices.SortFunc(groups, func(a, b *group) int { return a.compare(b.place) })
	return groups
}

// share divides part/whole of WeightScale among groups, in proportion to their sums. Each group
// gets 1 at least.
func share(groups []*group, part, whole uint64, priority uint32) []Locality {
	var total uint64
	for _, g := range groups {
		total += g.sum
	}
	localities := make([]Locality, 0, len(groups))
	for _, g := range groups {
		localities = append(localities, Locality{
			Region: g.region, Zone: g.zone, SubZone: g.subZone, Priority: priority,
			Weight:    uint32(max(1, rounded(WeightScale*part*g.sum, whole*total))),
			Endpoints: g.endpoints,
		})
	}
	return localities
}

// rounded returns a/b, rounded to the nearest number.
func rounded(a, b uint64) uint64 { return (a + b/2) / b }
