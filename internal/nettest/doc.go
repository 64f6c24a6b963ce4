// Package nettest provides network addresses for tests.
//
// # Concurrency
//
// The functions may be called concurrently.
package nettest
