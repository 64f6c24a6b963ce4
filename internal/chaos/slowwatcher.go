package chaos

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	slowWatcherTargets = 2000
	slowWatchers       = 50
	// slowWatcherMemory is how much more memory the coordinator may take for as
	// many changes again: much less than if they were kept for each watcher.
	slowWatcherMemory = 96 << 20
)

// slowWatcher lets some watchers stop reading, and one whole process stop, while
// all targets flip. Others must not notice; and when they go on they must end
// right.
func slowWatcher(r *rig, v *Verdict) error {
	n := r.cfg.instances(slowWatcherTargets)
	if err := r.begin(settings{policy: undamped}); err != nil {
		return err
	}
	r.bounds.Report = stormBound
	hosts, err := r.crowd(n)
	if err != nil {
		return err
	}
	lazy, err := r.lazyWatchers(slowWatchers, time.Hour)
	if err != nil {
		return err
	}
	stopped, err := r.watchCommand(n)
	if err != nil {
		return err
	}
	if err := stopped.stop(); err != nil {
		return err
	}
	r.say("%d watchers do not read, and one process is stopped", slowWatchers)
	var most []int
	for range 2 {
		memory := r.watchMemory()
		if err := r.flipAll(r.stormOf(n), hosts...); err != nil {
			return err
		}
		most = append(most, memory().most)
	}
	r.judge(v, n)
	v.memory(growth{most[0], most[1]}, slowWatcherMemory)
	return r.catchUpAll(v, lazy, stopped)
}

// catchUpAll lets all of them go on.
func (r *rig) catchUpAll(v *Verdict, lazy []*lazyWatcher, stopped *printing) error {
	r.say("they read again")
	truths, _ := r.record.read()
	if err := stopped.cont(); err != nil {
		return err
	}
	slowest := time.Duration(0)
	for i, w := range lazy {
		if _, _, err := w.catchUp(r.ctx, truths); err != nil {
			return err
		}
		slowest = max(slowest, w.caughtUp)
		seen, view := w.read()
		v.wellTold(fmt.Sprintf("watcher %d", i+1), truths, seen, view)
	}
	v.note("%d watchers that had not read ended right within %v", len(lazy), slowest.Round(time.Millisecond))
	return stopped.until(r, "the watch command that was stopped ends right", func(view map[health.ID]Seen) bool {
		n, _ := Astray(truths, view)
		return n == 0
	})
}
