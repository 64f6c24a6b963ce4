// Package e2e tests the binary and the libraries as their users have them:
// real processes, real sockets, grpcurl, stock grpc-go clients, and every
// command of the README. `make e2e` runs it, behind the tag e2e.
//
// # Concurrency
//
// None: tests only, one after another, because the README's commands have the
// default ports.
package e2e
