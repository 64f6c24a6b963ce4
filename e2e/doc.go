// Package e2e tests the binary and the libraries over real sockets.
//
// # Concurrency
//
// None: tests only.
package e2e
