// Package feed delivers the changes of a mesh, or of one server, to any number of readers.
//
// A publisher makes a batch of changes and appends it to a bounded log. Then it wakes the
// readers that wait for a service in the batch. The publisher never waits for a reader, and
// no reader has a queue. A [Reader] reads the changes after its cursor. If there is one
// batch after the cursor, the reader receives that batch. If there are more batches, it
// receives the latest state of each entry that they have changed. If the log has dropped
// changes after the cursor, it receives a snapshot that is marked as a gap.
//
// A batch and each of its entries store their encoded bytes for each [Encoding]. All readers
// of the same format and audience share these bytes.
//
// The feed has no clock and no goroutine. Its owner calls Beat once a second. Each such call
// is a beat. A reader can ask for a heartbeat, a step without changes, every N beats. The
// heartbeat shows that the publisher is alive.
//
// The services are divided into shards by a hash of their names. A reader of a few services
// wakes only for changes in their shards.
//
// # Concurrency
//
// A Feed has one publisher at a time. The methods that do not publish are safe for
// concurrent use. Only one goroutine may use a Reader at a time. Entries and batches are
// immutable except for their stored bytes, which are safe for concurrent use.
package feed
