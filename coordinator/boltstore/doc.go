// Package boltstore keeps a coordinator's records in one bbolt file.
//
// [Open] first examines the file and refuses one that it should not write to,
// with an error that says what to do, and leaves it byte for byte as it was.
// bbolt itself checks next to nothing, and panics or faults on damage, or
// serves other data than was written. So every page and every record is read
// before bbolt may write: all pages are in use once or free, keys are in order,
// checksums and the numbers of records are right. What lies in free space is
// the only damage that goes unnoticed.
//
// The file has a bucket for each kind of record. A record is one version byte,
// a CRC-32C of its bucket, key and text, and the text in JSON. The journal is
// keyed by number, then by name, so that a query passes over the transitions of
// others without reading them.
//
// A Commit is one bbolt transaction and one wait for the disk.
//
// # Concurrency
//
// As [store.Store] says. One process at a time has the file open.
package boltstore
