package health

import (
	"fmt"
	"strings"
)

// Route says what routing clients learn of an instance. Routing clients are xDS clients, the
// resolver for gRPC, and the writer for Kubernetes. The zero value is RouteNone.
type Route uint8

// The routes. Only RouteHealthy and RouteDegraded receive traffic.
const (
	// RouteNone means that routing clients do not learn of the instance, because its status was
	// never known.
	RouteNone      Route = iota
	RouteHealthy         // the instance receives traffic
	RouteDegraded        // the instance receives the traffic that healthy instances cannot take
	RouteUnhealthy       // the instance receives no traffic
	RouteDraining        // the instance receives no new traffic, because it leaves on purpose
	// RouteDuplicate means that routing clients do not learn of the instance, because another
	// instance of its service has the same endpoint.
	RouteDuplicate
	// RouteUnproven means that routing clients do not learn of the instance, because nothing proves that its
	// endpoint belongs to whoever has registered it (see EndpointProof).
	RouteUnproven
	// NumRoutes is the number of routes.
	NumRoutes
)

// routeNames has the name of each route, which is its name in meshhealth.v1 without the prefix.
var routeNames = [NumRoutes]string{
	RouteNone: "NONE", RouteHealthy: "HEALTHY", RouteDegraded: "DEGRADED",
	RouteUnhealthy: "UNHEALTHY", RouteDraining: "DRAINING", RouteDuplicate: "DUPLICATE",
	RouteUnproven: "UNPROVEN",
}

// String returns the name of the route, such as "HEALTHY".
func (r Route) String() string {
	if r >= NumRoutes {
		r = RouteNone
	}
	return routeNames[r]
}

// Routable reports whether the instance receives traffic.
func (r Route) Routable() bool { return r == RouteHealthy || r == RouteDegraded }

// ParseRoute returns the route that has a name, such as "HEALTHY".
func ParseRoute(name string) (Route, error) {
	for r, known := range routeNames {
		if known == name {
			return Route(r), nil
		}
	}
	return RouteNone, fmt.Errorf("%q is no route; allowed: %s", name, strings.Join(routeNames[:], ", "))
}

// Wire returns the number of the route in the proto enum meshhealth.v1.Route.
func (r Route) Wire() int32 { return int32(r) }

// RouteFromWire returns the route with the number n in the proto enum meshhealth.v1.Route. It
// returns RouteNone for an unknown number.
func RouteFromWire(n int32) Route {
	if n < 0 || n >= int32(NumRoutes) {
		return RouteNone
	}
	return Route(n)
}

const (
	// MaxWeight is the largest weight of an instance.
	MaxWeight = 128
	// MaxTLSNames is the largest number of Traffic.TLSNames.
	MaxTLSNames = 16
)

// Traffic says where an instance receives traffic, and how much. The zero value means the address
// for health calls, the weight 1 and no TLS.
type Traffic struct {
	// Address is the HOST:PORT that receives traffic. Empty means the address for health calls. The
	// host may be missing, as in :8080, which means the host of that address. Otherwise the host
	// is an IP address, or the same name as in that address.
	Address string
	// Weight is the share of traffic, relative to the other instances of the service: 1 to
	// MaxWeight; 0 means 1.
	Weight uint32
	// TLSNames lists the names that the certificate of the service may have, at most MaxTLSNames.
	// If the list is empty, the service speaks no TLS.
	TLSNames []string
}

// EffectiveWeight returns the weight, with its default filled in.
func (t *Traffic) EffectiveWeight() uint32 { return max(1, t.Weight) }

// IsZero reports whether all fields are zero.
func (t *Traffic) IsZero() bool { return t.Address == "" && t.Weight == 0 && len(t.TLSNames) == 0 }
