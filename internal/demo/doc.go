// Package demo runs a coordinator and services with real faults, to show how they are
// published.
//
// A coordinator with a store on disk follows the instances of a dozen services (topology.go). Each
// instance has a gRPC server on its own port, registers itself, and checks what it needs: a backend
// over HTTP, and other instances over gRPC. The demo plays a story (story.go) again and again. A
// database fails, and its dependents with it. The network between a zone and the coordinator is cut
// (network.go). A new version is slow. One process is suspended, one is killed, one drains.
// These three are child processes, so that the demo can send them signals. All other instances run
// in the process of the demo.
//
// In a storm, thousands of instances more (crowd.go) change their statuses all the time (storm.go).
//
// A watcher counts all updates (viewer.go), and prints them calmly (calm.go).
//
// # Concurrency
//
// [Run] and [RunInstance] start goroutines and processes, and return when all of them
// have ended. A child ends when its stdin ends, so no child outlives its parent.
package demo
