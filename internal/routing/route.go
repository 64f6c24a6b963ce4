package routing

// Route says how an endpoint is rendered.
type Route uint8

// The routes.
const (
	// RouteNone means that the endpoint is absent from every rendering.
	RouteNone Route = iota
	// RouteHealthy means that the endpoint takes its full part of the traffic.
	RouteHealthy
	// RouteDegraded means that the endpoint takes traffic that the healthy endpoints cannot take.
	RouteDegraded
	// RouteUnhealthy means that the endpoint takes no traffic.
	RouteUnhealthy
	// RouteDraining means that the endpoint takes no new traffic.
	RouteDraining
	// RouteDuplicate means that another instance of the service has the same address and is
	// rendered. The endpoint is absent from every rendering.
	RouteDuplicate
)
