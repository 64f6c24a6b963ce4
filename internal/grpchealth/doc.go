// Package grpchealth serves a feed over gRPC: as grpc.health.v1 for every client
// (standard.go) and as meshhealth.v1.HealthService (extended.go). The embedded server and
// the coordinator both use this package. So a status has the same meaning in both, and the
// same tools can read both.
//
// Each Watch handler reads the same [feed.Feed] with its own reader. It sleeps until a
// selected entry changes. The first handler that sends an entry to an audience encodes the
// entry, and the other handlers send the same bytes (sender.go, view.go). A request for an
// unknown name stores nothing.
//
// Each handler asks the access policy about the names of its request and about each entry
// that it sends. If a caller sends a nonce with Check or Watch, the header of the answer has
// a proof that the answer comes from this feed.
//
// # Concurrency
//
// [Handlers] is safe for concurrent use. Each Watch runs in the goroutine in which gRPC has
// called the handler. End wakes and ends every Watch.
package grpchealth
