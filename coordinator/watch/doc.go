// Package watch follows every registered instance and tells the registry what
// it sees. It never judges: a status that came, a refusal, a silence are
// evidence, and what they mean is decided by package health.
//
// One follower per instance (follower.go) asks for its health over a
// connection shared by all who live at the same address (endpoint.go):
// meshhealth Watch (extended.go), where that is not implemented grpc.health.v1
// Watch (standard.go), and where there is only Check, polls (poll.go). Every
// reconnect begins at the top. classify.go is the table of what each error
// says about the target, the path to it, its configuration, or ourselves.
//
// What we do to targets, and ourselves, is bounded: a breaker per address
// (breaker.go) says when it may be dialled, and there are so many dials at once
// (dialslots.go); polls come from one wheel (wheel.go), which asks later when it
// cannot keep up, and says so (coverage.go, overload.go); calls that were turned
// away are made again within a budget (retry.go).
//
// The watcher (watch.go) reads the feed, so that a registration is followed as
// soon as it is published, and no longer than it is. What an instance pushes
// itself is not followed.
//
// # Concurrency
//
// Run starts one goroutine for each follower, one that looks every second for
// streams that have gone silent (liveness.go), one that turns the wheel, and
// workers that poll, as many as polls are in progress at once; it joins them all.
// A follower that replaces another waits for its end first. The methods that tell
// of the state may be called at any time.
package watch
