package chaos

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	slowWatcherTargets = 2000
	slowWatchers       = 50
	// slowWatcherMemory is how many more bytes of memory the coordinator may use in the
	// second round of flips. A coordinator that kept the changes for each watcher would
	// need much more.
	slowWatcherMemory = 96 << 20
)

// slowWatcher makes some watchers stop reading and suspends one process that watches,
// while all targets flip. Other watchers must not be affected. The slow watchers must
// have the true states in the end.
func slowWatcher(r *rig, v *Verdict) error {
	n := r.cfg.instances(slowWatcherTargets)
	if err := r.start(settings{policy: undamped}); err != nil {
		return err
	}
	r.bounds.Report = stormBound
	hosts, err := r.hostShared(n)
	if err != nil {
		return err
	}
	slow, err := r.startSlowReaders(slowWatchers, time.Hour)
	if err != nil {
		return err
	}
	stopped, err := r.startWatchProcess(n)
	if err != nil {
		return err
	}
	if err := stopped.suspend(); err != nil {
		return err
	}
	r.progress("%d watchers do not read, and one watch process is suspended", slowWatchers)
	var most []int
	for range 2 {
		memory := r.watchMemory()
		if err := r.flipAll(planStorm(r, n), hosts...); err != nil {
			return err
		}
		most = append(most, memory().most)
	}
	r.countErrors(v, n)
	v.requireMemory(memoryGrowth{most[0], most[1]}, slowWatcherMemory)
	return resumeReaders(r, v, slow, stopped)
}

// resumeReaders lets the slow watchers read again, and requires that they end with the
// true states.
func resumeReaders(r *rig, v *Verdict, slow []*slowReader, stopped *watchProcess) error {
	r.progress("the slow watchers read again")
	truths, _ := r.record.read()
	if err := stopped.resume(); err != nil {
		return err
	}
	slowest := time.Duration(0)
	for i, w := range slow {
		if _, _, err := w.catchUp(r.ctx, truths); err != nil {
			return err
		}
		slowest = max(slowest, w.caughtUp)
		seen, view := w.read()
		v.requireOrder(fmt.Sprintf("watcher %d", i+1), truths, seen, view)
	}
	v.note("%d slow watchers had the true states within %v", len(slow), slowest.Round(time.Millisecond))
	return stopped.waitFor(r, "the suspended watch command has the true states", func(view map[health.ID]Seen) bool {
		n, _ := WrongEnds(truths, view)
		return n == 0
	})
}
