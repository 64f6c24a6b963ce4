//go:build e2e || soak

package xds

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// flipPace is the number of calls that each stack makes between two changes.
const flipPace = 25

// TestFlips changes the statuses of four backends under load. At least one of them is always SERVING or
// DEGRADED, so no call may fail.
func TestFlips(t *testing.T) {
	c := startCoordinator(t)
	backends := startBackends(t, newClient(t, c.at), "flip", 0, make([]backendConfig, 4)...)
	for _, b := range backends {
		b.set(health.Serving)
	}
	drivers := startDrivers(t, c.at, "")
	all := shares(0.25, 4, 0, 0)
	serving := step{what: "all are SERVING", target: "xds:///flip", shares: all}
	each(drivers, func(_ int, d *driver) { d.settle(&serving) })
	l := startLoad(drivers, serving.target)
	random := rand.New(rand.NewPCG(1, 1))
	flips, failures := 0, [4]bool{}
	for ; l.least() < flipCalls && !t.Failed(); flips++ {
		i := random.IntN(len(backends))
		s := []health.Status{health.Serving, health.Degraded, health.NotServing, health.Starting, health.Maintenance}[random.IntN(5)]
		if failures[i] = s != health.Serving && s != health.Degraded; !slices.Contains(failures[:], false) {
			failures[i], s = false, health.Degraded
		}
		backends[i].set(s)
		l.more(flipPace)
	}
	rows := [][]string{{"stack", "calls", "changes", "failed", "last call after NOT_SERVING, STARTING or MAINTENANCE"}}
	l.stop()
	for i, d := range drivers {
		got := l.total[i]
		if got.failed() > 0 {
			t.Errorf("%s: %d of %d calls failed: %v", d.name, got.failed(), got.total(), got.Errors)
		}
		rows = append(rows, []string{d.name, fmt.Sprint(got.total()), fmt.Sprint(flips), fmt.Sprint(got.failed()), lateCalls(backends, d.name)})
	}
	t.Logf("\n%s", table(rows))
	for _, b := range backends {
		b.set(health.Serving)
	}
	each(drivers, func(_ int, d *driver) { d.measure(&serving) })
}

// lateCalls says when a stack has called backends last after they became unusable.
func lateCalls(backends []*backend, stack string) string {
	var all []time.Duration
	for _, b := range backends {
		all = append(all, b.lateness(stack)...)
	}
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("%d of the changes: median %v, max %v", len(all), round(all[len(all)/2]), round(all[len(all)-1]))
}

// load is calls without an end to one or more targets, of all stacks.
type load struct {
	drivers []*driver
	targets []string
	total   []counts // of each stack
}

func startLoad(drivers []*driver, targets ...string) *load {
	l := &load{drivers: drivers, targets: targets, total: make([]counts, len(drivers))}
	each(drivers, func(_ int, d *driver) {
		for _, target := range targets {
			d.run(command{Do: "start", Target: target, Inflight: 2})
		}
	})
	return l
}

// take adds the calls since the last take to the total.
func (l *load) take(do string) {
	each(l.drivers, func(i int, d *driver) {
		for _, target := range l.targets {
			l.total[i] = l.total[i].and(d.run(command{Do: do, Target: target}))
		}
	})
}

func (l *load) stop() { l.take("stop") }

// least returns the number of calls of the stack that has made the least.
func (l *load) least() int {
	least := l.total[0].total()
	for _, c := range l.total[1:] {
		least = min(least, c.total())
	}
	return least
}

// more waits until each stack has made n more calls.
func (l *load) more(n int) {
	t := l.drivers[0].t
	t.Helper()
	l.take("take")
	before := slices.Clone(l.total)
	until(t, fmt.Sprintf("%d more calls", n), func() bool {
		l.take("take")
		for i := range before {
			if l.total[i].total() < before[i].total()+n {
				return false
			}
		}
		return true
	})
}
