// Package storetest holds every store to what the store package says of one.
//
// [Run] checks each sentence by itself, and then that random batches do to the
// store what they do to a few plain maps. [RunDurable] does the same to a store
// that is closed and opened again on the way.
//
// # Concurrency
//
// Both are called once, from a test.
package storetest
