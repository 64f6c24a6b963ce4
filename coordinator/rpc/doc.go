// Package rpc is the coordinator's gRPC door.
//
// # Concurrency
//
// As each exported name says.
package rpc
