package machine

import (
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// TestMachineAllocatesForTroubleOnly checks that a machine allocates once per reason of a
// failure, and for nothing else.
func TestMachineAllocatesForTroubleOnly(t *testing.T) {
	m, now := New(withDefaults(health.Policy{}), transcript.T0), transcript.T0
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Second)
		for range 10 {
			m.Observe(Observation{At: now, Evidence: Fail, Next: now.Add(time.Minute), Reason: "down"})
		}
		m.Observe(Observation{At: now, Evidence: Pass, Next: now.Add(time.Minute)})
		m.Observe(Observation{At: now, Evidence: Pass, Next: now.Add(time.Minute)})
		m.Tick(now)
	}); n != 1 {
		t.Errorf("%v allocations, want one, for the failure", n)
	}
}

func BenchmarkMachineObserve(b *testing.B) {
	m, now := New(withDefaults(health.Policy{}), transcript.T0), transcript.T0
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		m.Observe(Observation{At: now, Evidence: Pass, Next: now.Add(time.Minute)})
		m.Tick(now)
	}
}
