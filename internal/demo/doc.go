// Package demo runs a mesh of real services that really fail.
//
// # Concurrency
//
// As each exported name says.
package demo
