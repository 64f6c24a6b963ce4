// Package sim plays random scripts of failures to the real core of the registry
// (core.Core), the real feed with its readers, and a real store. It compares the
// published states with a simulated world, in which the truth is known.
//
// A [Script] lists steps: processes die, network paths are cut, zones are partitioned, the
// coordinator pauses or crashes, wall clocks jump. Four parts play a script:
//
//   - The world (world.go) has the true state of every instance. It turns the steps into
//     messages of followers and clients, such as reports, refused connections and renewals.
//   - The agenda (task.go) is the list of future tasks, such as the next heartbeat.
//   - The coordinator (coordinator.go) passes the messages to the core by calls of the method
//     Step of core.Core. It stores and publishes what this method returns.
//   - The oracle (oracle.go) knows the world and the messages. It has one record
//     (record.go) for each registered instance. It checks that each published state is
//     allowed, and that no change is missing or late.
//
// The core forgives lateness: it extends its deadlines if it was called late. The oracle
// therefore notes each time together with the lateness that was forgiven until then
// (stamp). The coordinator gives an instance up when it makes the status worse because the
// instance was silent, refused connections, or did not renew its lease. A guard may hold
// an instance, which means that the instance keeps its last status instead.
//
// Random values depend on the seed and on names, never on the order of draws. The rest of
// a script therefore stays the same when one step is removed. A script that fails can be
// minimised (shrink.go), printed, put into testdata, and played again. The tests also
// play scripts to a whole registry with its goroutines, in a bubble of testing/synctest.
//
// # Concurrency
//
// A world must be used by one goroutine. Two worlds share no data.
package sim
