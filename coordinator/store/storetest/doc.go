// Package storetest has the tests that every implementation of [store.Store] must pass.
//
// [Run] tests each rule of package store separately. After that it applies random batches to
// the store and to a model that consists of plain maps, and compares both. [RunDurable] does
// the same with a store that is closed and opened again between batches.
//
// # Concurrency
//
// A test calls Run and RunDurable once each.
package storetest
