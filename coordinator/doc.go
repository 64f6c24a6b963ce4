// Package coordinator plugs the rooms of a coordinator together.
//
// # Concurrency
//
// As each exported name says.
package coordinator
