//go:build !race

package sim

// scripts is how many are played.
const scripts = 60
