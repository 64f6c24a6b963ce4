// Package testmesh runs whole meshes in memory, by scripts.
//
// # Concurrency
//
// As each exported name says.
package testmesh
