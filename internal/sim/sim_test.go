package sim

import (
	"testing"
	"time"
)

// tries bounds how long a failing script is made smaller.
const tries = 600

// sizeOf makes most scripts small, where much happens to few, and some big.
func sizeOf(seed uint64) Size {
	switch seed % 40 {
	case 19:
		return Size{Instances: 600, Episodes: 80, Length: 5 * time.Minute}
	case 39:
		return Size{Instances: 3000, Episodes: 40, Length: 2 * time.Minute}
	}
	return Size{Instances: 60, Episodes: 80, Length: 15 * time.Minute}
}

// TestSimulation plays random scripts, a million events and more.
func TestSimulation(t *testing.T) {
	events, began := 0, time.Now()
	for seed := range uint64(scripts) {
		events += simulate(t, seed, events, began).Events
	}
	t.Logf("%d events in %v", events, time.Since(began))
}

// simulate plays one script. If it fails, it says how little of it fails in the
// same way.
func simulate(t *testing.T, seed uint64, events int, began time.Time) Result {
	t.Helper()
	s := Generate(seed, sizeOf(seed))
	r := Play(s)
	if r.Fault != nil {
		took := time.Since(began)
		small := Minimise(s, r.Fault.Rule, tries)
		t.Fatalf("seed %d, after %d events, %v: %v\nminimised to %d steps, put it into testdata:\n%s%v",
			seed, events+r.Events, took, r.Fault, len(small.Steps), small, Play(small).Fault)
	}
	return r
}
