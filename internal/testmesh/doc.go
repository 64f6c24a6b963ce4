// Package testmesh runs whole meshes in memory, by scripts: a real coordinator,
// real services with the embedded server and the client library, and stock
// grpc-go health servers, on a network that can refuse, hang and break
// (network.go). Run in a testing/synctest bubble, hours pass in milliseconds
// and a goroutine left behind fails the test.
//
// A script is a list of commands, one a line (script.go): what happens, and
// what a watcher of the coordinator must then see, and by when. The scenarios
// are in testdata, as txtar files with a word on what each shows.
//
// # Concurrency
//
// A Mesh belongs to the goroutine that runs its script. What its services and
// its watcher do meanwhile is theirs.
package testmesh
