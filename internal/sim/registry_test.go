package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// generateBubble returns the script of a seed for a registry.
func generateBubble(seed uint64, steps int) *Script {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 2)), s: &Script{}}
	g.s.Seed = seed
	for range steps {
		who := fmt.Sprint("s", g.IntN(4), "/", g.IntN(3))
		s := one(g,
			Step{Op: OpAdd}, Step{Op: OpAdd}, Step{Op: OpAdd}, Step{Op: OpSay, Status: g.status()}, Step{Op: OpSay, Status: health.Serving},
			Step{Op: OpSay, Status: health.Serving}, Step{Op: OpCut}, Step{Op: OpDelay, For: g.randomDelay()}, Step{Op: OpRemove},
			Step{Op: OpOverride, Status: health.Maintenance}, Step{Op: OpClear}, Step{Op: OpPause, For: g.randomDelay()},
			Step{Op: OpStall, N: g.IntN(4)}, Step{Op: OpStall, For: g.randomDelay()}, Step{Op: OpStall}, Step{Op: OpCrash, For: g.randomDelay()},
		)
		if s.Op != OpPause && s.Op != OpStall && s.Op != OpCrash {
			s.Who = who
		}
		g.step(one(g, 0, g.randomTime(time.Second), g.randomTime(5*time.Second)), s)
	}
	return g.s
}

// TestRegistry plays random scripts to a whole registry.
func TestRegistry(t *testing.T) {
	began, events := time.Now(), 0
	for seed := range uint64(scripts) {
		events += registered(t, seed, events, began)
	}
	t.Logf("%d events in %v", events, time.Since(began))
}

func registered(t *testing.T, seed uint64, events int, began time.Time) int {
	t.Helper()
	s := generateBubble(seed, 120)
	fault, n := playBubble(t, s)
	if fault != nil {
		took := time.Since(began)
		small := minimise(s, fault.Rule, 200, func(s *Script) *Fault { f, _ := playBubble(t, s); return f })
		t.Fatalf("seed %d, after %d events, %v: %v\nminimised to %d steps:\n%s", seed, events+n, took, fault, len(small.Steps), small)
	}
	return n
}
