//go:build soak

package certs_test

// rotations is how often TestRotations replaces the files.
const rotations = 1000
