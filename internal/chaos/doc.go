// Package chaos causes faults around a coordinator, with real processes, and counts the
// targets that were falsely published as dead.
//
// A scenario (run.go) starts a coordinator, by its own command, and child
// processes that host targets (host.go). Targets are servers of this library that
// register themselves, and standard gRPC health servers. Then the scenario suspends,
// kills, starves or floods some of these processes.
//
// Targets write their state and the time of each change. This is the truth. A watcher
// (watcher.go) records what the coordinator publishes. [Compare], a pure function,
// compares the two and counts three kinds of errors. A state is false if it was
// published and was not true. A truth is missed if it lasted longer than its bound
// (truth.go) and was never published. A truth is late if it was published after its
// bound.
//
// Time in which the coordinator is suspended or dead is an [Outage] and does not count,
// because no coordinator can publish then.
//
// # Concurrency
//
// [Run] and [RunHost] start goroutines and processes, and return when all of them have
// ended. A child ends when its stdin ends, so no child outlives its parent. On Linux
// the system also kills suspended children when the parent dies.
package chaos
