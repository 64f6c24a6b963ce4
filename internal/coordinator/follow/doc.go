// Package follow follows every registered instance, and passes evidence about it to the
// registry. It does not decide what the evidence means: package mesh does.
//
// A [Manager] (manager.go) reads the registrations from the feed, and runs one follower for
// each instance (follower.go, chain.go). While only statuses change, the manager sleeps. The
// *target* of a follower is the process that answers at the address of the instance. A
// follower uses the connection that all instances at the same address share (link.go,
// pool.go, dial.go). On this connection it tries three protocols in order: Watch of
// meshhealth.v1 (extendedwatch.go), Watch of grpc.health.v1 (stockwatch.go, probe.go), and
// polls by Check (poll.go). The order is from the best protocol to the worst. Each new
// connection begins with the best one. learnt.go stores what a follower has learnt about its
// target, and has one method for each kind of event. A session is one stream, or one series
// of polls over one connection. It translates the answers of all protocols into evidence
// (session.go).
//
// A finding is the conclusion that the coordinator draws from an error (finding.go).
// dialerror.go has the findings for the errors of attempts to connect. callerror.go has the
// findings for the ends of calls and streams; it uses the headers, trailers and messages that
// a call or stream received (reply.go).
//
// The load on targets and on the coordinator is bounded. A breaker for each address says
// when it may be dialled (breaker.go), and dial slots bound the dials in progress
// (dialpolicy.go). One poll scheduler runs all polls (pollscheduler.go, polltask.go,
// pollinterval.go). If it cannot keep up, it makes polls later, and measures by how much
// (coverage.go). A call that a target has turned away is repeated, but only about a tenth of
// all calls may be repetitions (retry.go, retryrule.go).
//
// # Concurrency
//
// [Manager.Run] starts one goroutine for each follower, one for the poll scheduler, and
// at most 512 workers that poll. One more goroutine checks all streams for silence
// (streammonitor.go). Run returns after all these goroutines have ended. A follower that
// replaces another follower first waits for its end. The other methods of Manager may be
// called at any time.
package follow
