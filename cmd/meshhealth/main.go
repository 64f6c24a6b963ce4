// Command meshhealth runs and asks a mesh coordinator.
//
// # Concurrency
//
// One goroutine; what it starts joins before it ends.
package main

func main() {}
