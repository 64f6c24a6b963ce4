//go:build !race

package sim

// scripts is the number of random scripts.
const scripts = 60
