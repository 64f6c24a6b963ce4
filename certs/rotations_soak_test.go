//go:build soak

package certs_test

import "testing"

// TestSoakRotations is the full form of TestRotations.
func TestSoakRotations(t *testing.T) { rotate(t, 1000) }
