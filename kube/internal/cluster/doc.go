// Package cluster is the access to the API server of Kubernetes: it follows objects, writes patches,
// and holds the lease of the leader.
//
// # Concurrency
//
// The methods of a Cluster may be called concurrently. Follow and Lead wait for all goroutines that
// they have started.
package cluster
