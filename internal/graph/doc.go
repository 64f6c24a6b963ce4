// Package graph finds cycles in directed graphs, for example in dependencies of checks.
//
// # Concurrency
//
// Cycle is a pure function.
package graph
