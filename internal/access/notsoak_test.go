//go:build !soak

package access

const soak = false
