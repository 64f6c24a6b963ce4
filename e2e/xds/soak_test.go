//go:build soak

package xds

import "testing"

// TestSoakStacks runs all tests of the package with their full sizes.
func TestSoakStacks(t *testing.T) {
	for name, f := range map[string]func(*testing.T){
		"matrix": TestMatrix, "flips": TestFlips, "faults": TestFaults,
		"panic threshold": TestPanicThreshold, "hostile clients": TestHostileClients,
	} {
		t.Run(name, f)
	}
}
