// Package coordinator is a mesh coordinator one can embed: the rooms under it,
// plugged together. cmd/meshhealth is a thin shell around it.
//
//	c, err := coordinator.New(ctx, coordinator.Config{})
//	...
//	err = c.Run(ctx)
//
// The rooms know nothing of each other: the registry owns the mesh and its
// store, watch follows instances, rpc and metrics and the HTTP pages read the
// registry's feed. What one needs of another is handed over here.
//
// # Concurrency
//
// New opens the listeners and the store, and leaves nothing open when it fails.
// Run works until its context ends; it returns when everything it started has
// ended, what waited for the store is written, and store and listeners are
// closed. The other methods may be called from anywhere, at any time.
package coordinator
