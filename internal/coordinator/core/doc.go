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
// # Terms
//
// A command registers or removes instances, changes an override, or replaces the
// configuration. The store must hold the changes of a command before its caller gets an
// answer.
//
// A record is one item for the store. A transition is the record of a change of a status. A
// batch is the records and the changes of commands that one commit writes. A draft is a batch
// that is being made.
//
// A store may have made a commit that returned an error. The core then starts a lookup: it
// asks the store for its last batch. If the lookup fails too, the commit is indeterminate.
// Until a later lookup succeeds, the core refuses commands about the same names.
//
// A configured target is an instance that the configuration of the coordinator registers. Its
// registration takes effect even if the store fails. It is an unsaved change until the store
// holds it.
//
// # Concurrency
//
// A Core belongs to one goroutine.
package core
