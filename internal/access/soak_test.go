//go:build soak

package access

// soak selects the long form of random tests.
const soak = true
