// Package rpc is the coordinator's gRPC door: both health services over the
// coordinator's feed (package internal/grpchealth does the work),
// RegistryService for instances (registry.go, report.go) and AdminService for
// people (admin.go).
//
// Every request is checked by package internal/wire before anything else sees
// it. access.go decides who may do what, once for each name; limits.go bounds
// connections; serve.go begins and ends: at the end every Watch gets
// UNAVAILABLE with a RetryInfo, so that its client comes back to whoever is
// here next.
//
// # Concurrency
//
// Handlers run in gRPC's goroutines and keep nothing. Serve returns when every
// one of them has.
package rpc
