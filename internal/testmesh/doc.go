// Package testmesh runs whole meshes in memory, controlled by scripts. A mesh has a real
// coordinator, real services with the embedded server and the client library, and stock
// grpc-go health servers. Its network can refuse, hang and break (network.go). In a
// testing/synctest bubble, hours pass in milliseconds, and a goroutine that is left
// behind fails the test.
//
// A script is a list of commands, one on each line (script.go). Commands cause events, or
// check what a watcher of the coordinator sees within a time. The scenarios are txtar
// files in testdata, each with a description. The tests of package coordinator use only
// [Network].
//
// # Concurrency
//
// A Mesh must be used by one goroutine. The methods of a Network may be called
// concurrently.
package testmesh
