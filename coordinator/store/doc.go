// Package store defines what a coordinator keeps across restarts: the [Store]
// interface, its records, and [Memory], a store that lasts as long as its process.
//
// A batch is atomic: the store keeps all of it or nothing. If Commit succeeds, a durable store
// keeps the batch even after the end of the process or a power cut. If Commit fails, the store
// may have kept the batch or not. This is an indeterminate commit: the writer calls Lookup and
// compares State.LastBatch with Batch.ID.
//
// The journal holds transitions and is bounded: when it is full, each new transition
// drops the oldest one. All other records are kept until a batch deletes them.
//
// Transitions reads the journal backward, for people. TransitionsAfter reads it
// forward, for consumers: a consumer is a component that processes every transition
// once and in order. It keeps its position in the store, under its name.
//
// # Concurrency
//
// One goroutine at a time calls Load, Commit and Lookup: the store writer. Any number
// of goroutines may call Transitions, TransitionsAfter and Position at the same time.
// Close waits for all calls.
package store
