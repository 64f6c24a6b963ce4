// Package grpchealth serves a feed over gRPC, as grpc.health.v1 for everybody
// (standard.go) and as meshhealth.v1.HealthService (check.go, watch.go). The embedded server and the coordinator both use it, so that one
// tool reads both and a status means the same on every door.
//
// A Watch handler is a reader of the feed: asleep until something it wants has
// changed, it sends what the first of all readers has encoded. Names nobody
// knows leave nothing behind.
//
// # Concurrency
//
// [Handlers] is safe for concurrent use. Each Watch runs in the goroutine gRPC
// gave it; End wakes and ends them all.
package grpchealth
