// Package registry runs a coordinator's registry. Package core, which is pure, decides
// what the registry does. This package adds two goroutines, their channels, a timer and
// the store.
//
// The owner (owner.go) collects the waiting inputs, passes them to core.Core.Step, and
// carries out the output. It publishes the changes to the feed, which wakes the readers.
// After that it calls Config.Published, logs the transitions, and answers the callers. It
// does no I/O.
//
// The store writer (storewriter.go) carries out the operations of the core on the
// store, one at a time. A store that blocks or fails never delays a status.
//
// # Concurrency
//
// The methods of [Registry] are safe for concurrent use while Run runs. The core
// belongs to the owner. The owner and the store writer communicate by channels only.
package registry
