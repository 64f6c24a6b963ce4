package chaos

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	slowWatcherTargets = 2000
	slowWatchers       = 50
	// slowWatcherMemory is the number of bytes by which the coordinator's memory may grow
	// in the second round of changes. A coordinator that queued the changes for each
	// watcher would need much more.
	slowWatcherMemory = 96 << 20
)

// slowWatcher is a scenario. It lets 50 watchers stop reading, and suspends one process that
// watches, while all targets change their states. Other watchers must receive everything in time.
// When the slow watchers read again, they must receive the true states.
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
		most = append(most, memory().largest)
	}
	r.countErrors(v, n)
	v.requireMemory(memoryGrowth{most[0], most[1]}, slowWatcherMemory)
	return resumeReaders(r, v, slow, stopped)
}

// resumeReaders lets the slow watchers and the suspended process read again. It requires that
// all of them receive the true states.
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
