// Package grpchealth serves the statuses of a [feed.Feed] over gRPC. A feed has one entry for
// each name, with the current state of that name, and it passes on every change.
//
// The package implements two gRPC services. grpc.health.v1 (standard.go) is for every client.
// meshhealth.v1.HealthService (extended.go) also sends causes, reasons and times. The embedded
// server and the coordinator both use this package, so a status means the same in both.
//
// grpc.health.v1 has only four numbers for statuses: 0 UNKNOWN, 1 SERVING, 2 NOT_SERVING and
// 3 SERVICE_UNKNOWN. Comments in this package call them status numbers. Check sends trailers
// if the status number does not express the whole state, see wire.TrailerStatus.
//
// With Config.Instances, the :authority of a call of grpc.health.v1 can name an instance
// (authority.go). So a load balancer can probe many instances at one address.
//
// Each Watch has its own reader of the feed. The handler of the Watch sleeps until the reader
// has a step: changes of entries that the client has selected, or a snapshot of all these
// entries. An audience is all callers who may see the same details. An entry is encoded once
// for each audience, and all Watches of the audience send the same bytes (sender.go, view.go).
// A request for an unknown name stores nothing.
//
// Each handler asks the access policy about the names of its request and about each entry
// that it sends. If a caller sends a nonce with Check or Watch, the header of the answer has
// a proof that the answer comes from this feed.
//
// # Concurrency
//
// [Handlers] is safe for concurrent use. Each Watch runs in the goroutine in which gRPC has
// called the handler. [Handlers.End] wakes and ends every Watch.
package grpchealth
