// Package registry owns the mesh. Two goroutines do all the work, and neither
// waits for the other:
//
// The owner (owner.go) takes everything that waits in the inbox, applies it to
// the pure health.Mesh, and publishes the changes to the feed. It does no I/O.
// When it wakes late it forgives the mesh its own lateness first (late.go).
//
// The scribe (scribe.go) owns the store. Registrations and overrides go to it
// first; they are answered when they are durable and the owner has applied
// them. Transitions wait for it in a bounded queue (queue.go): when the store
// is slow the oldest are dropped, counted, and leave a gap record. A store
// that blocks or fails never holds up a status. A commit that failed may have
// been made all the same: the store is asked, and memory follows (doubt.go).
//
// # Concurrency
//
// The methods of [Registry] are safe for concurrent use while Run runs. The
// mesh belongs to the owner, the store and the durable registrations to the
// scribe; they talk by channels and by the queue's lock, which is held for
// copies only.
package registry
