package sim

import (
	"testing"
	"time"
)

// tries is the largest number of scripts that are played to minimise one failing script.
const tries = 600

// sizeOf returns the size of the script of a seed. Most scripts have many failures of few
// instances. Two in forty have many instances.
func sizeOf(seed uint64) Size {
	switch seed % 40 {
	case 19:
		return Size{Instances: 600, Episodes: 80, Length: 5 * time.Minute}
	case 39:
		return Size{Instances: 3000, Episodes: 40, Length: 2 * time.Minute}
	}
	return Size{Instances: 60, Episodes: 80, Length: 15 * time.Minute}
}

// TestSimulation plays random scripts. Without the race detector, they have more than a million
// events together.
func TestSimulation(t *testing.T) {
	events, began := 0, time.Now()
	for seed := range uint64(scripts) {
		events += simulate(t, seed, events, began).Events
	}
	t.Logf("%d events in %v", events, time.Since(began))
}

// simulate plays one script. If it fails, simulate prints a minimised script.
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
