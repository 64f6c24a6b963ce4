package chaos

import (
	"fmt"
	"time"
)

const (
	stormTargets = 10_000
	stormTurns   = 5
	// stormRate is the number of state changes in one second, of all targets together.
	stormRate = 2500
	// stormShare is the number of targets that share a server, since a process has too few
	// file descriptors for one server for each target. A server of this library serves up to
	// 99 names.
	stormShare    = 90
	stormWatchers = 3
	// stormBound is the time within which a reported state must be published. It is longer
	// than in other scenarios, because the changes keep all cores busy.
	stormBound = 2 * time.Second
	// stormMemory is the number of bytes by which the coordinator's memory may grow in the
	// scenario.
	stormMemory = 256 << 20
)

// storm is a scenario. It makes all targets change their states again and again. Every watcher
// must receive the changes of each target in order, and the true state of each target in the end.
// One of the watchers reads only one message in a second.
func storm(r *rig, v *Verdict) error {
	n := r.cfg.instances(stormTargets)
	if err := r.start(settings{policy: undamped}); err != nil {
		return err
	}
	r.bounds.Report = stormBound
	hosts, err := r.hostShared(n)
	if err != nil {
		return err
	}
	slow, err := r.startSlowReaders(1, time.Second)
	if err != nil {
		return err
	}
	var others []*watcher
	for range stormWatchers - 1 {
		w, err := r.startWatcher()
		if err != nil {
			return err
		}
		others = append(others, w)
	}
	memory := r.watchMemory()
	if err := r.flipAll(planStorm(r, n), hosts...); err != nil {
		return err
	}
	return requireCaughtUp(r, v, n, others, slow, memory())
}

// hostShared starts n targets that share addresses, and waits until they are SERVING.
func (r *rig) hostShared(n int) ([]*hostProcess, error) {
	var hosts []*hostProcess
	for _, g := range []Group{
		{Kind: kindOurs, Service: "leased", Targets: n / 2, Leased: true},
		{Kind: kindStock, Service: "stock", Targets: n - n/2},
	} {
		g.PerAddress, g.Each = stormShare, 20
		h, err := r.host(g)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
	}
	return hosts, r.waitUntilServing(hosts...)
}

// planStorm returns the command that makes n targets change their states stormTurns times.
func planStorm(r *rig, n int) Command {
	o := Command{Turns: stormTurns, Duration: time.Duration(n*stormTurns) * time.Second / stormRate}
	r.progress("%d targets are SERVING; each flips %d times within %v", n, o.Turns, o.Duration)
	return o
}

// requireCaughtUp compares the states that the first watcher received with the true states. It
// requires that all other watchers received the changes in order, and the true states at the end.
func requireCaughtUp(r *rig, v *Verdict, n int, others []*watcher, slow []*slowReader, grown memoryGrowth) error {
	r.progress("the storm has ended; the slow watcher reads without delay")
	v.requireMemory(grown, stormMemory)
	r.countErrors(v, n)
	truths, _ := r.record.read()
	for i, w := range others {
		seen, view := w.read()
		v.requireOrder(fmt.Sprintf("watcher %d", i+2), truths, seen, view)
	}
	for _, w := range slow {
		before, all, err := w.catchUp(r.ctx, truths)
		if err != nil {
			return err
		}
		seen, view := w.read()
		v.requireOrder("the slow watcher", truths, seen, view)
		v.note("the slow watcher had read %d messages at the end of the storm; it had the true states after %d more, within %v",
			before, all-before, w.caughtUp.Round(time.Millisecond))
	}
	return nil
}
