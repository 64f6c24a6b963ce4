//go:build e2e && !soak

package xds

// The sizes of the tests of `make e2e`.
const (
	measured   = 400  // calls of each stack for each row of the matrix
	flipCalls  = 3000 // calls of each stack while backends change
	faultCalls = 500  // calls of each stack in each part of a fault
)
