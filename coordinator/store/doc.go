// Package store says what a coordinator keeps across restarts, and how: the
// [Store] interface, its records, and [Memory], the store that forgets.
//
// A batch is atomic: all of it is kept, or none. What Commit acknowledged
// survives the process and, in a durable store, the machine. A Commit that
// failed is unknown, not undone: the caller reads back with Lookup.
//
// Transitions are a bounded journal: when it is full the oldest go. Everything
// else is kept until it is deleted.
//
// # Concurrency
//
// A Store is used by one writer at a time (Load, Commit, Lookup) and any number
// of readers of Transitions beside it. Close waits for both.
package store
