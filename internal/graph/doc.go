// Package graph finds cycles in what depends on what.
//
// # Concurrency
//
// Cycle is a pure function.
package graph
