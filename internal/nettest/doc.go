// Package nettest provides network addresses, certificates and clients for tests and
// benchmarks.
//
// # Concurrency
//
// The functions may be called concurrently.
package nettest
