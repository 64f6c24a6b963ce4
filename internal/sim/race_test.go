//go:build race

package sim

// scripts is the number of random scripts. The race detector makes each take ten
// times as long.
const scripts = 8
