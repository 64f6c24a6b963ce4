package resolver

import (
	"math"
	"net/netip"
	"slices"

	"github.com/meshhealth/meshhealth/internal/routing"
)

// weightScale is the number of units into which one unit of the weight of a locality is divided among
// its instances. The sum of all weights is about 10^8, so it fits into the 32 bits of ring_hash.
const weightScale = 10_000

// routed is one instance that may receive traffic.
type routed struct {
	instance string
	address  netip.AddrPort
	// priority is 0 or 1. Instances with priority 1 are for the case that no other can be reached.
	priority uint32
	degraded bool
	distance int // from the caller
	// registered is the weight as it was registered.
	registered uint32
	// weight is the part of the traffic, relative to the other instances with this priority.
	// preferred is the same with the zone preference of the caller. Both are at least 1.
	weight, preferred uint32
}

// route returns the instances that may receive traffic, in the order of their localities and names.
func route(endpoints []routing.Endpoint, caller place) []routed {
	localities := routing.Plain(endpoints)
	var list []routed
	for len(localities) > 0 {
		n := groupOf(localities)
		factors := caller.preferred(localities[:n])
		for i := range localities[:n] {
			list = appendRouted(list, endpoints, &localities[i], caller, &factors)
		}
		localities = localities[n:]
	}
	return list
}

// groupOf returns the number of localities at the start of the list that share one part of the
// traffic: those with the same priority and sub-zone.
func groupOf(localities []routing.Locality) int {
	first := &localities[0]
	n := slices.IndexFunc(localities, func(l routing.Locality) bool {
		return l.Priority != first.Priority || l.SubZone != first.SubZone
	})
	if n < 0 {
		return len(localities)
	}
	return n
}

func appendRouted(list []routed, endpoints []routing.Endpoint, l *routing.Locality, caller place, factors *[numDistances]float64) []routed {
	var sum float64
	for _, i := range l.Endpoints {
		sum += float64(endpoints[i].Weight)
	}
	distance := caller.distance(l.Region, l.Zone)
	for _, i := range l.Endpoints {
		e := &endpoints[i]
		weight := float64(l.Weight) * weightScale * float64(e.Weight) / sum
		list = append(list, routed{
			instance: e.Instance, address: e.Address, priority: l.Priority, degraded: l.SubZone == routing.SubZoneDegraded,
			distance: distance, registered: e.Weight,
			weight: units(weight), preferred: units(weight * factors[distance]),
		})
	}
	return list
}

func units(weight float64) uint32 { return uint32(max(1, math.Round(weight))) }

// degradedShare returns the part of the traffic that degraded instances get, from 0 to 1, and the
// numbers of healthy and degraded instances.
func degradedShare(list []routed) (share float64, healthy, degraded int) {
	var all, part float64
	for i := range list {
		r := &list[i]
		if r.degraded {
			degraded++
		} else {
			healthy++
		}
		if r.priority > 0 {
			continue
		}
		all += float64(r.weight)
		if r.degraded {
			part += float64(r.weight)
		}
	}
	if all == 0 {
		return 0, healthy, degraded
	}
	return part / all, healthy, degraded
}
