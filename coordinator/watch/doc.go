// Package watch follows every registered instance and reports what it sees.
//
// # Concurrency
//
// As each exported name says.
package watch
