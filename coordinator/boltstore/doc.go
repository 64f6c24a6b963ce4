// Package boltstore keeps a coordinator's records in one bbolt file.
//
// # Concurrency
//
// As [store.Store] says.
package boltstore
