//go:build soak

package xds

// The sizes of the tests of `make soak`.
const (
	measured   = 4000   // calls of each stack for each row of the matrix
	flipCalls  = 30_000 // calls of each stack while backends change
	faultCalls = 3000   // calls of each stack in each part of a fault
)
