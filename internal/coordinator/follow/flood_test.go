package follow

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestFlood tests that an instance which sends without pause is polled every second
// instead, until its status has not changed for a minute.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budgets := wire.NewBudgets(wire.TargetRate, wire.TargetBurst)
		r := newRigWith(t, func(c *Config) { c.Budgets = budgets })
		var sent, every atomic.Int64
		every.Store(int64(time.Millisecond))
		h := newHalf(func(s halfStream) error {
			for s.Context().Err() == nil {
				if err := sends(s, isServing); err != nil {
					return err
				}
				sent.Add(1)
				select {
				case <-time.After(time.Duration(every.Load())):
				case <-s.Context().Done():
				}
			}
			return nil
		})
		r.serve("host:1", h.register)
		r.register("pay/a", health.Spec{Address: "host:1", Static: true})
		if n := len(r.after(10 * time.Second)); n > wire.TargetBurst+40 {
			t.Errorf("%d pieces of evidence in 10 s", n)
		}
		if names, n := budgets.Flooding(time.Now(), 9); n != 1 || names[0] != "pay/a" {
			t.Errorf("%v exceed their budget", names)
		}
		sent.Store(0)
		for range 10 { // the known status is never older than a second
			h.truth.Store(int32(isNotServing))
			if got := last(r.after(time.Second + 100*time.Millisecond)); got.Status != health.NotServing {
				t.Errorf("status %v a second after the change", got.Status)
			}
			h.truth.Store(int32(isServing))
			r.after(1100 * time.Millisecond)
		}
		if n := sent.Load(); n != 0 {
			t.Errorf("%d messages were read while the target was polled", n)
		}
		every.Store(int64(time.Minute)) // the target is quiet from now on
		r.after(wire.FloodQuiet + 5*time.Second)
		if modes := r.manager.Modes(); modes["grpc-watch"] != 1 {
			t.Errorf("modes %v after a quiet minute, want a Watch", modes)
		}
	})
}

// TestOursStaysBelow tests that an embedded server whose checks change all the time
// stays within the budget.
func TestOursStaysBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budgets := wire.NewBudgets(wire.TargetRate, wire.TargetBurst)
		r := newRigWith(t, func(c *Config) { c.Budgets = budgets })
		s, reg := running(t, "pay")
		r.serve("host:1", func(g *grpc.Server) { reg(g) })
		addFlapping(t, s, 500)
		r.register("pay/a", health.Spec{Address: "host:1"})
		r.after(2 * time.Minute)
		if _, n := budgets.Flooding(time.Now(), 9); n != 0 || r.manager.Modes()["meshhealth-watch"] != 1 {
			t.Errorf("%d instances exceed their budget, modes %v", n, r.manager.Modes())
		}
	})
}
