// Package server runs a service's local checks and serves its health.
//
// # Concurrency
//
// As each exported name says.
package server
