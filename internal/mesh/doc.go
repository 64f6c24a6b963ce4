// Package mesh computes the status of instances, services, zones and the mesh from a
// sequence of events.
//
// [Mesh] is the only entry. Its owner calls Apply for each event. It also waits until the
// time that Deadline returns, and then calls Tick. Apply and Tick return the changes that
// they have made. The package reads no clock and starts no goroutine: times are parameters.
//
// The file pipeline.go shows how an event becomes a status: five layers per instance, then
// the service, its zone, the mesh, and the roots of failures.
//
// # Concurrency
//
// A Mesh is not safe for concurrent use. It has one owner and must not be copied.
package mesh
