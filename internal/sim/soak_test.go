//go:build soak

package sim

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	soakEvents  = 100_000_000
	soakFrom    = 1000 // TestSimulation plays smaller seeds
	soakBubbles = 4000
	soakHeap    = 64 << 20
)

// TestSoakSimulation plays random scripts until they had a hundred million events together. It
// also checks that no memory stays in use.
func TestSoakSimulation(t *testing.T) {
	var events, seed atomic.Int64
	began := time.Now()
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for events.Load() < soakEvents && !t.Failed() {
				n := uint64(soakFrom + seed.Add(1))
				s := Generate(n, sizeOf(n))
				r := Play(s)
				events.Add(int64(r.Events))
				if r.Fault != nil {
					small := Minimise(s, r.Fault.Rule, tries)
					t.Errorf("seed %d: %v\nminimised, put it into testdata:\n%s%v", n, r.Fault, small, Play(small).Fault)
				}
			}
		})
	}
	workers.Wait()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("%d events of %d scripts in %v; %d MiB stay", events.Load(), seed.Load(), time.Since(began), m.HeapAlloc>>20)
	if m.HeapAlloc > soakHeap {
		t.Errorf("%d bytes stay", m.HeapAlloc)
	}
}

func TestSoakRegistry(t *testing.T) {
	events, began := 0, time.Now()
	for seed := range uint64(soakBubbles) {
		events += registered(t, soakFrom+seed, events, began)
	}
	t.Logf("%d events", events)
}
