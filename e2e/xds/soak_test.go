//go:build soak

package xds

import "testing"

// TestSoakStacks runs all tests of the package with their full sizes.
func TestSoakStacks(t *testing.T) {
	t.Run("matrix", TestMatrix)
	t.Run("flips", TestFlips)
	t.Run("faults", TestFaults)
	t.Run("panic threshold", TestPanicThreshold)
	t.Run("hostile clients", TestHostileClients)
}
