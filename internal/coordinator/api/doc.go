// Package api is the gRPC API of a coordinator. It serves both health services over the
// coordinator's feed (package internal/grpchealth), RegistryService for instances
// (registryservice.go, report.go) and AdminService for people (adminservice.go).
//
// A connection is accepted, authenticated and counted (acceptor.go, peers.go), and passed to
// one of three gRPC servers (server.go). Each call is limited in size and time (bounded.go).
// Package internal/wire checks every request. Each handler asks the access policy for every
// name in its request and in its answer (access.go). A stream ends when the rights of its caller change
// (guardedstream.go).
//
// # Concurrency
//
// Handlers run in the goroutines of gRPC and keep no state between calls. Serve returns when
// all handlers have returned.
package api
