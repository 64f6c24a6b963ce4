package watch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// TestMassSilence: when more fall silent at once than can be waited for, all of
// them are in doubt, or told to be unasked, before the first is given up: else
// nobody would see that they are many.
func TestMassSilence(t *testing.T) {
	if raced {
		t.Skip("thousands of timers in one bubble; runs without the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		const n = 6 * maxPolls
		r := newRig(t)
		s := newCounting()
		r.serve("host:0", checkOnly{s}.register)
		r.at(n, "host:0")
		for i := range n {
			r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: fmt.Sprintf("host:%d", i)})
		}
		r.after(2 * DefaultPollEvery)
		s.takes.Store(int64(time.Hour))
		r.after(0)
		told := map[health.ID]bool{}
		var first time.Time
		for first.IsZero() || time.Since(first) < health.DefaultUnreachableAfter {
			for _, e := range r.after(100 * time.Millisecond) {
				switch e.Kind {
				case health.EventPath:
					if first.IsZero() {
						first = e.at
					}
					told[e.ID] = true
				case health.EventUnasked:
					told[e.ID] = true
				case health.EventReport:
					t.Fatalf("%v answers", e)
				}
			}
		}
		if len(told) != n {
			t.Errorf("told of %d of %d when the first is given up", len(told), n)
		}
		if c := r.w.Coverage(); c > 0.7 {
			t.Errorf("covered %v of what was to be polled", c)
		}
	})
}

// at makes so many addresses those of one host.
func (r *rig) at(n int, host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.hosts[host]
	for i := range n {
		r.hosts[fmt.Sprintf("host:%d", i)] = l
	}
}
