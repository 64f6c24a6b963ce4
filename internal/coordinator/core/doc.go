// Package core decides what a coordinator's registry does. It has no goroutine,
// no lock, no clock and no I/O. The time and the events are parameters of [Core.Step], and
// the actions for the caller are in its [Output].
//
// One Step does this, in order:
//
//  1. It measures how late the caller has called it, and moves every deadline of the
//     mesh by the same duration (lateness.go).
//  2. It applies the inputs: evidence and renewals go to the mesh; commands wait
//     for the store (command.go); the result of a store operation ends a commit
//     (commit.go).
//  3. It drafts the next batch if one is due (batch.go, draft.go), and requests its
//     commit. A command is answered when its batch is durable and its events are
//     applied to the mesh.
//  4. It makes the mesh handle the deadlines that have passed.
//  5. It queues every transition for the store, in a queue bounded by bytes. When the
//     queue is full, it drops the oldest transitions, counts them, and leaves a gap
//     record in their place (pending.go).
//
// A store may have made a commit that returned an error. Until a lookup shows whether it
// did, the commit is indeterminate, and no command about the same names succeeds.
//
// # Concurrency
//
// A Core belongs to one goroutine.
package core
