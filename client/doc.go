// Package client registers services with a coordinator and watches it.
//
// # Concurrency
//
// As each exported name says.
package client
