// Package demo runs a mesh of real services that really fail.
//
// A coordinator on the embedded store follows a number of gRPC servers. Each server
// listens on its own port, registers itself, and checks a backend over TCP. The steps
// (steps.go) repeat in a loop. A backend becomes slow, refuses connections, and
// recovers. One process is frozen, another is killed, another drains, and each returns.
// These instances are child processes, so that the signals are real. The other
// instances run in the process of the demo.
//
// The updates of a watcher are printed as they arrive, and counted (viewer.go).
//
// # Concurrency
//
// [Run] and [RunInstance] start goroutines and processes, and return when all of them
// have ended. A child ends when its stdin ends, so no child outlives its parent.
package demo
