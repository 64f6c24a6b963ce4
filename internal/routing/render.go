package routing

import "github.com/meshhealth/meshhealth/health"

// spillOverRoutes are the routes that the spill-over rendering contains. If two endpoints have the same
// address, the endpoint with the earlier route is rendered. The plain rendering contains the first
// two routes, which are those for which Routable is true. So where the selection for spill-over has
// no routable endpoint of an address, there is none.
var spillOverRoutes = []health.Route{health.RouteHealthy, health.RouteDegraded, health.RouteDraining, health.RouteUnhealthy}

// Both returns the results of SpillOver and of Plain. It is faster than two calls.
func Both(endpoints []Endpoint) (spillOver, plain []Locality) {
	indexes := selected(endpoints, spillOverRoutes)
	return spillOverOf(endpoints, indexes), plainOf(endpoints, indexes)
}

// SpillOver returns the rendering for clients that know degraded endpoints, and give them the traffic
// that the healthy endpoints cannot take. It contains every endpoint except those with RouteNone,
// RouteDuplicate and RouteUnproven. Clients get the route of each endpoint as its health. There is one locality for each
// region and zone, and all have priority 0.
func SpillOver(endpoints []Endpoint) []Locality {
	return spillOverOf(endpoints, selected(endpoints, spillOverRoutes))
}

func spillOverOf(endpoints []Endpoint, indexes []int) []Locality {
	return share(grouped(endpoints, indexes, func(*Endpoint) string { return "" }), 1, 1, 0)
}

// overprovisioning is the percentage of its present traffic that a healthy endpoint can take. It
// is the default of Envoy.
const overprovisioning = 140

// Plain returns the rendering for clients that know usable endpoints only. It contains the endpoints
// with RouteHealthy and RouteDegraded, and clients get all of them as healthy.
//
// The healthy endpoints get min(100, 140 × healthy ÷ (healthy + degraded)) percent of the traffic,
// by the number of endpoints in the whole service. The degraded endpoints get the rest, in localities
// with the sub-zone SubZoneDegraded. If no rest is left, these localities have priority 1. If every
// endpoint is degraded, they get all traffic, with priority 0.
func Plain(endpoints []Endpoint) []Locality {
	return plainOf(endpoints, selected(endpoints, spillOverRoutes))
}

func plainOf(endpoints []Endpoint, indexes []int) []Locality {
	routable := make([]int, 0, len(indexes))
	for _, i := range indexes {
		if endpoints[i].Route.Routable() {
			routable = append(routable, i)
		}
	}
	groups := grouped(endpoints, routable, subZoneOf)
	first := 0 // the first group with degraded endpoints
	var healthy, all uint64
	for i, g := range groups {
		n := uint64(len(g.endpoints))
		all += n
		if g.subZone == "" {
			healthy += n
			first = i + 1
		}
	}
	part, whole := healthyShare(healthy, all)
	localities := share(groups[:first], part, whole, 0)
	if part == whole {
		return append(localities, share(groups[first:], 1, 1, 1)...)
	}
	return append(localities, share(groups[first:], whole-part, whole, 0)...)
}

// healthyShare returns the part of the traffic that the healthy endpoints get, of all endpoints that
// the plain rendering contains.
func healthyShare(healthy, all uint64) (part, whole uint64) {
	whole = 100 * all
	return min(whole, overprovisioning*healthy), whole
}

// HealthyPercent returns the percentage of the traffic that the healthy endpoints of a service get from
// plain clients, rounded. It is 0 if there are no endpoints.
func HealthyPercent(healthy, degraded uint64) uint32 {
	part, whole := healthyShare(healthy, healthy+degraded)
	return uint32(rounded(100*part, max(1, whole)))
}

func subZoneOf(e *Endpoint) string {
	if e.Route == health.RouteDegraded {
		return SubZoneDegraded
	}
	return ""
}
