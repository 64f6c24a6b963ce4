// Package nettest provides certificates for tests, and an address that refuses connections.
//
// # Concurrency
//
// The functions may be called concurrently.
package nettest
