// Package demo runs a mesh of real services that really fail.
//
// A coordinator on the embedded store watches services × instances gRPC
// servers, each on a port of its own, with checks of a backend that is really
// dialled, and a registration of its own. Then, in a loop (story.go), a backend
// gets slow, refuses, and comes back; a process is frozen, another killed,
// another drained, and each returns. Those are child processes, so that the
// signals are real; the other instances live in this one.
//
// What a watcher is told is printed as it comes, and counted (viewer.go).
//
// # Concurrency
//
// [Run] and [RunInstance] start goroutines and processes, and return when all
// of them have ended. A child ends when its stdin does, so none outlives its
// parent, however that ends.
package demo
