package follow

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/meshhealth/meshhealth/health"
)

// silence adds n hosts that do not answer, with an instance on each.
func (r *rig) silence(n int) {
	r.mu.Lock()
	for i := range n {
		r.silent[fmt.Sprintf("silent:%d", i)] = true
	}
	r.mu.Unlock()
	for i := range n {
		r.register(fmt.Sprintf("silent/%d", i), health.Spec{Address: fmt.Sprintf("silent:%d", i)})
	}
}

// mostDials lets time pass, and returns the highest number of dials in progress. It
// reads the number while all goroutines are idle, because a dial that is given up needs
// some steps to end.
func (r *rig) mostDials(d time.Duration) (most int) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		r.mu.Lock()
		most = max(most, r.dialling)
		r.mu.Unlock()
	}
	return most
}

// TestDialsAreBounded tests the bound of dials in progress. A target that waits for a
// slot is not reported as silent. Targets that failed before do not delay a target that
// answers.
func TestDialsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		const n = 3 * maxDials
		r.silence(n)
		if most := r.mostDials(4 * dialTimeout); most != maxDials {
			t.Errorf("%d dials at once, want %d", most, maxDials)
		}
		got := r.drain()
		first := map[health.ID]bool{}
		for _, e := range got {
			if e.Kind == mesh.EventNotAsked {
				continue // it waited too long for a dial slot
			}
			if e.Kind != mesh.EventPath || e.at.Sub(e.since) != dialTimeout {
				t.Fatalf("evidence %v %v after the wait began, want a path fault after %v", e, e.at.Sub(e.since), dialTimeout)
			}
			first[e.ID] = true
		}
		if len(first) != n {
			t.Errorf("evidence about %d instances, want all %d", len(first), n)
		}
		_, reg := knows("pay")
		r.serve("host:1", reg)
		r.register("pay/a", health.Spec{Address: "host:1"})
		if got := r.drain(); !slices.ContainsFunc(got, func(e told) bool { return e.Kind == mesh.EventReport }) {
			t.Errorf("evidence %v, want that pay/a answers at once", got)
		}
		if most := r.mostDials(time.Minute); most > maxRedials {
			t.Errorf("%d redials at once, want at most %d", most, maxRedials)
		}
	})
}

// TestNoHerd tests that targets which vanish together are not dialled together again.
func TestNoHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		const n = 100
		began := time.Now()
		for i := range n {
			r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: fmt.Sprintf("host:%d", i)})
		}
		r.after(10 * time.Second)
		for nth, tenths := range map[int]int{1: 4, 2: 10} { // they are spread over 700 ms, then 3.2 s
			var at []time.Duration
			used := map[time.Duration]bool{}
			for i := range n {
				at = append(at, r.dialled(fmt.Sprintf("host:%d", i))[nth].Sub(began))
				used[at[i].Truncate(100*time.Millisecond)] = true
			}
			if len(used) < tenths {
				t.Errorf("dial %d of all within %d tenths of a second, want %d", nth+1, len(used), tenths)
			}
		}
	})
}

// TestBreakersShow tests the counts of breakers by state, and the list of open
// addresses.
func TestBreakersShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.silence(1)
		_, reg := knows("pay")
		r.serve("host:0", reg)
		for i := range 4 { // two on host:1
			r.register(fmt.Sprintf("pay/%d", i), health.Spec{Address: fmt.Sprintf("host:%d", min(i, 2))})
		}
		r.after(time.Minute)
		by := r.manager.Breakers()
		if by["closed"] != 1 || by["open"]+by["half-open"] != 3 {
			t.Errorf("breakers %v, want 1 closed, 3 not", by)
		}
		for most, want := range map[int]string{-1: "[]", 0: "[]", 2: "[host:1 host:2]", 20: "[host:1 host:2 silent:0]"} {
			if got, all := r.manager.OpenAddresses(most); fmt.Sprint(got) != want || all != 3 {
				t.Errorf("the first %d addresses: %v of %d, want %s of 3", most, got, all, want)
			}
		}
	})
}
