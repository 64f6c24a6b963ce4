//go:build soak

package bolt

import (
	"fmt"
	"testing"
)

// TestSoakFlippedByte flips every byte, in several ways.
func TestSoakFlippedByte(t *testing.T) {
	image, want := sample(t)
	for _, with := range []byte{0x01, 0x80, 0xFF, 0x10} {
		t.Run(fmt.Sprintf("%#02x", with), func(t *testing.T) { flipAll(t, image, want, 1, with) })
	}
}
