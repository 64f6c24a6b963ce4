// Package chaos causes faults around a coordinator, with real processes, and counts the
// targets that were falsely published as dead.
//
// A scenario (run.go) starts the command `meshhealth coordinator`, and child processes
// that host targets (host.go). A target is one instance of a service. Some targets are
// servers of this library, others are standard gRPC health servers. A leased target
// registers itself and renews its lease. The scenario registers the static targets. Then
// it suspends, kills, starves or floods some of these processes.
//
// A [Truth] is the true state of a target from a time on. Targets write a line for each
// change of their state. A watcher (watcher.go) records the states that the coordinator
// publishes. [Compare], a pure function, compares the two and counts three kinds of errors:
//
//   - A published state is false if it was not true.
//   - A truth is missed if it lasted longer than its bound (truth.go) and was never
//     published.
//   - A truth is late if it was published after its bound.
//
// The time in which the coordinator is suspended or dead is an [Outage]. Outages do not
// count, because a coordinator cannot publish during an outage.
//
// The mass-failure guard of a coordinator trips when half of the mesh is suspect, and
// releases when less than a third is suspect. While it is tripped, silent targets keep
// their status. A scenario that needs silent targets to be published as dead therefore
// has enough other targets.
//
// # Concurrency
//
// [Run] and [RunHost] start goroutines and processes, and return when all of them have
// ended. A child ends when its stdin ends, so no child outlives its parent. On Linux
// the system also kills suspended children when the parent dies.
package chaos
