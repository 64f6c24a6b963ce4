package chaos

import (
	"fmt"
	"time"
)

const (
	stormTargets = 10_000
	stormTurns   = 5
	// stormRate is how many flips a second there are.
	stormRate = 2500
	// Targets share servers: a process may not have a descriptor for each. One
	// of this library serves up to 99 names.
	stormShare    = 90
	stormWatchers = 3
	// stormBound replaces the bound of reports: cores that do nothing but flip
	// are late by more.
	stormBound = 2 * time.Second
	// stormMemory is how much more memory the coordinator may take in it.
	stormMemory = 256 << 20
)

// storm makes all targets flip again and again. Every watcher must end with the
// truth, also one that has read one message a second as long as it lasted, and
// get each target's changes in order.
func storm(r *rig, v *Verdict) error {
	n := r.cfg.instances(stormTargets)
	if err := r.begin(settings{policy: undamped}); err != nil {
		return err
	}
	r.bounds.Report = stormBound
	hosts, err := r.crowd(n)
	if err != nil {
		return err
	}
	lazy, err := r.lazyWatchers(1, time.Second)
	if err != nil {
		return err
	}
	var others []*watcher
	for range stormWatchers - 1 {
		w, err := r.watch()
		if err != nil {
			return err
		}
		others = append(others, w)
	}
	memory := r.watchMemory()
	if err := r.flipAll(r.stormOf(n), hosts...); err != nil {
		return err
	}
	return r.afterStorm(v, n, others, lazy, memory())
}

// crowd hosts n targets that share addresses, and settles.
func (r *rig) crowd(n int) ([]*hosted, error) {
	var hosts []*hosted
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
	return hosts, r.settle(hosts...)
}

// stormOf says how n targets flip.
func (r *rig) stormOf(n int) Order {
	o := Order{Turns: stormTurns, Over: time.Duration(n*stormTurns) * time.Second / stormRate}
	r.say("%d targets are SERVING; each flips %d times within %v", n, o.Turns, o.Over)
	return o
}

// afterStorm judges the main watcher, and wants order and truth of the others.
func (r *rig) afterStorm(v *Verdict, n int, others []*watcher, lazy []*lazyWatcher, grown growth) error {
	r.say("the storm is over; the slow watcher makes haste")
	v.memory(grown, stormMemory)
	r.judge(v, n)
	truths, _ := r.record.read()
	for i, w := range others {
		seen, view := w.read()
		v.wellTold(fmt.Sprintf("watcher %d", i+2), truths, seen, view)
	}
	for _, w := range lazy {
		before, all, err := w.catchUp(r.ctx, truths)
		if err != nil {
			return err
		}
		seen, view := w.read()
		v.wellTold("the slow watcher", truths, seen, view)
		v.note("the slow watcher had read %d messages by the end of the storm; with %d more, within %v, it was right",
			before, all-before, w.caughtUp.Round(time.Millisecond))
	}
	return nil
}
