// Package explain writes sentences that explain a status to people.
//
// # Concurrency
//
// The functions of this package have no side effects and may be called concurrently.
package explain
