// Package mesh computes the status of instances, services, zones and the mesh from a
// sequence of events.
//
// [Mesh] is the only entry point. One goroutine owns a Mesh: it calls Apply for each event, and
// it calls Tick at the time that Deadline returns. Apply and Tick return the changes that they
// have made. The package reads no clock and starts no goroutine: times are parameters.
//
// # Terms
//
// The file pipeline.go shows how an event becomes a status. An instance has five layers. Each
// layer passes a verdict, a status with its cause, to the next layer. The aggregates are the
// service of the instance, the zone and the mesh. A rollup is the counts from which the status
// of a service is computed. The contribution of an instance is what it adds to the counts.
//
// An instance that does not answer becomes suspect: it keeps its last status, unconfirmed. The
// time for which it may stay suspect ends at its deadline giveUp. At this deadline the instance is
// declared dead. If many instances become silent at once, a guard holds them: they keep their last
// status.
//
// The process that runs this package may itself be late, for example because its machine was
// suspended. The method Forgive extends all deadlines by this lateness. If a deadline was
// extended to its limit, the end of the deadline proves nothing: the instance becomes UNKNOWN.
//
// The amnesty is a time after the start of the process. In this time, no instance that was
// loaded from the store is called silent or expired.
//
// # Concurrency
//
// A Mesh is not safe for concurrent use. It has one owner and must not be copied.
package mesh
