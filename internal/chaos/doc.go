// Package chaos does to a coordinator what breaks registries, with real
// processes, and counts whom it called dead falsely.
//
// A scenario (scenarios.go) starts a coordinator, by its own command, and child
// processes that host targets (host.go): servers of this library that register
// themselves, and stock ones. Then it stops, kills, starves or floods one or the
// other. Targets write down what they are and since when: the truth. A watcher
// (watcher.go) writes down what the coordinator publishes. A judge (judge.go),
// a pure function, compares the two: what was published without being true is
// false; what was true for longer than its bound (bounds.go) and was never
// published is missed; what was published after it is late.
//
// Time does not pass for the judge while the coordinator is stopped or dead
// (outage.go): nobody can publish then.
//
// # Concurrency
//
// [Run] and [RunHost] start goroutines and processes, and return when all of
// them have ended. A child ends when its stdin does, so none outlives its
// parent, however that ends; on Linux the system kills those that are stopped.
package chaos
