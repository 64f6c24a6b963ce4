// Package storetest has the tests that every implementation of [store.Store] must pass.
//
// [Run] tests each rule of package store by itself. It then applies random batches to the
// store and to a model made of plain maps, and compares the two. [RunDurable] does the
// same with a store that is closed and opened again between batches.
//
// # Concurrency
//
// A test calls each of the two once.
package storetest
