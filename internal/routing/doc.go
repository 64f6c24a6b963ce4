// Package routing computes what routing clients receive for one service: groups of endpoints, with
// weights and priorities.
//
// There are two renderings, because clients differ in what they do with a degraded endpoint.
// [SpillOver] is for clients that know degraded endpoints, such as Envoy. [Plain] is for clients
// that know usable endpoints only, such as gRPC. Both renderings of the same endpoints are equal,
// whatever the order of the endpoints.
//
// # Concurrency
//
// The package has values and functions only.
package routing
