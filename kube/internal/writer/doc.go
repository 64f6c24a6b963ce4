// Package writer follows the coordinator and the objects of a Kubernetes cluster, and writes the health
// of the instances to the objects. Package plan decides; this package has the goroutines.
//
// # Concurrency
//
// One goroutine owns the plan. Run waits for all goroutines that it has started.
package writer
