//go:build race

package sim

// scripts is how many are played where the race detector makes each ten times
// as long.
const scripts = 8
