// Package coordinator is a mesh coordinator for programs that embed one. The command
// "meshhealth coordinator" only adds flags and a configuration file to it.
//
//	c, err := coordinator.New(ctx, coordinator.Config{})
//	...
//	err = c.Run(ctx)
//
// The package makes the components and connects them. The registry owns the mesh and its store.
// The followers ask the instances for their status. The gRPC API, the HTTP pages and the metrics
// read the registry's feed. The components do not import each other.
//
// With the zero Config, the coordinator can be reached from its own machine only. Everybody there may read
// and register, and overrides need the unix socket. Beyond loopback it needs Credentials and an
// AccessPolicy.
//
// # Concurrency
//
// New opens the listeners and the store; if it fails, it closes them. Run returns when all its
// goroutines have ended, the waiting records are committed, and the store and the listeners are
// closed. If the store takes longer than 5 s for the last commit, Run returns without closing the
// store. The other methods are safe for concurrent use.
package coordinator
