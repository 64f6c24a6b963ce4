package transcript

import (
	"math/rand/v2"
	"testing"
)

// Fuzz runs check on each input of the fuzzer that has at most maxBytes bytes. An error of
// check fails the test.
func Fuzz(f *testing.F, maxBytes int, check func([]byte) error) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxBytes {
			return
		}
		if err := check(data); err != nil {
			t.Fatal(err)
		}
	})
}

// Inputs runs check on n random inputs with at least minBytes and fewer than maxBytes bytes.
// The inputs depend on seed only. An error of check fails the test.
func Inputs(t *testing.T, seed uint64, n, minBytes, maxBytes int, check func([]byte) error) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, seed+1))
	for range n {
		data := make([]byte, minBytes+random.IntN(maxBytes-minBytes))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		if err := check(data); err != nil {
			t.Fatalf("%v\n%v", data, err)
		}
	}
}
