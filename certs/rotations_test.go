//go:build !soak

package certs_test

// rotations is how often TestRotations replaces the files. A test with the tag soak has the full
// number.
const rotations = 100
