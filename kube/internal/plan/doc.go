// Package plan decides what the writer for Kubernetes writes. A Planner knows the objects of the
// cluster and the instances of the mesh, and says which objects must be changed, and when. An
// Importer says which instances must be registered or removed.
//
// # Concurrency
//
// The package starts no goroutine and reads no clock: time is a parameter. Its values belong to one
// goroutine.
package plan
