// Package demo runs a coordinator and services with real faults, to show how they are
// published.
//
// A coordinator with a store on disk follows a number of gRPC servers. Each server is an
// instance of a service: it listens on its own port, registers itself, and checks a
// backend over TCP. The demo repeats a list of steps (steps.go). A backend becomes slow,
// refuses connections, and recovers. One process is suspended, a second one is killed, a
// third one drains, and all of them return. These three are child processes, so that the
// demo can send them signals. All other instances run in the process of the demo.
//
// The updates of a watcher are printed as they arrive, and counted (viewer.go).
//
// # Concurrency
//
// [Run] and [RunInstance] start goroutines and processes, and return when all of them
// have ended. A child ends when its stdin ends, so no child outlives its parent.
package demo
