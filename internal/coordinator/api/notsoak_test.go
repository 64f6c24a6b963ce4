//go:build !soak

package api

const soak = false
