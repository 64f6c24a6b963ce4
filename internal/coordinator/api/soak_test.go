//go:build soak

package api

// soak selects the long form of random tests.
const soak = true
