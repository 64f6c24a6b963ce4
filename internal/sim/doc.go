// Package sim plays random scripts of a mesh in trouble to the real judgement
// (health.Mesh), the real feed with its readers, and a real store, and holds
// what is published against a world that knows the truth.
//
// A [Script] says what happens to whom: processes die, paths are cut, zones are
// parted, the coordinator stands still or crashes, wall clocks jump. The world
// (world.go) makes of it what followers and clients would send: reports, signs
// of life, refusals, time-outs, renewals, and what comes late. The coordinator
// (coordinator.go) takes that as the owner of a registry does. The oracle
// (oracle.go) knows both, and says of every published state whether it may be,
// and of everything that is due whether it came.
//
// Whatever is random hangs on the seed and on names, never on the order of
// draws: a script with a step less is the same script otherwise. So one that
// fails can be made small (shrink.go), printed, put into testdata, and played
// again. What lives in the goroutines of the registry is played in a bubble of
// testing/synctest, by the tests.
//
// # Concurrency
//
// A world and all in it belong to one goroutine; worlds have nothing in common.
package sim
