// Package feed hands the changes of a mesh, or of one server, to any number of
// readers.
//
// Readers pull. A publisher seals a batch, appends it to a bounded log and
// wakes who is interested; it never waits for a reader, and there is no queue
// per reader. A [Reader] asks for what came after its cursor: one batch if it
// is up to date, the latest state of everything changed since if it is not,
// and if the log no longer reaches back, a snapshot marked as a gap.
//
// A batch and each of its entries have a slot per audience for their encoding
// (Encoded), so that a change is encoded once for all who read it. Heartbeats
// are one shared wake-up per period, driven by Beat: the feed has no clock and
// no goroutine.
//
// # Concurrency
//
// A Feed has one publisher at a time; every other method may be called from
// anywhere. A Reader belongs to one goroutine. Entries and batches are
// immutable but for their slots, which are safe.
package feed
