// Package sim plays random scripts of failures to the real core of the registry
// (core.Core), the real feed with its readers, and a real store. It compares the
// published states with a simulated world, in which the truth is known.
//
// A [Script] lists steps: processes die, paths are cut, zones are partitioned, the
// coordinator pauses or crashes, wall clocks jump. The world (world.go) turns the steps
// into messages of followers and clients: reports, heartbeats, refused connections,
// time-outs, renewals. The coordinator (coordinator.go) passes the messages to the core,
// and carries out the output of the core. The oracle (oracle.go) knows the world and the
// messages. It checks whether each published state is allowed, and whether every state
// that is due was published.
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
