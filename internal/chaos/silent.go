package chaos

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	silentTargets = 100
	// silentBack is the time from the resumption of a target until it must be published as
	// SERVING. The coordinator dials a silent target every 15 s plus up to a quarter, so at
	// least every 19 s.
	silentBack = 19*time.Second + 3*time.Second
	// silentTTL is the TTL of the lease in the scenario. Like the default TTL, it is twice
	// unreachable_after. A target is not published as dead within half of its TTL after it
	// renewed its lease.
	silentTTL = 2 * blackholePatience
)

// silent is a scenario. It suspends two processes that host one target each, while all other
// targets answer. The two silent targets must be published as dead within the time Bounds.Path.
func silent(r *rig, v *Verdict) error {
	n := r.cfg.instances(silentTargets)
	if err := r.start(settings{unreachable: blackholePatience}); err != nil {
		return err
	}
	leased, err := r.host(Group{Kind: kindOurs, Service: "silent-leased", Targets: 1, Leased: true, TTL: silentTTL})
	if err != nil {
		return err
	}
	static, err := r.host(Group{Kind: kindStock, Service: "silent-stock", Targets: 1})
	if err != nil {
		return err
	}
	rest, err := r.host(Group{Kind: kindStock, Service: "rest", Targets: n - 2})
	if err != nil {
		return err
	}
	if err := r.waitUntilServing(leased, static, rest); err != nil {
		return err
	}
	r.progress("%d targets are SERVING; two of them are suspended", n)
	if err := suspendUntilDead(r, v, leased, static); err != nil {
		return err
	}
	if err := r.wait(time.Second); err != nil {
		return err
	}
	r.countErrors(v, n)
	return nil
}

// suspendUntilDead suspends child processes until all their targets are published as dead.
// Then it resumes the processes, and waits until their targets are SERVING.
func suspendUntilDead(r *rig, v *Verdict, hosts ...*hostProcess) error {
	began := time.Now()
	r.record.add(notServing, r.bounds.Path, ids(hosts...)...)
	for _, h := range hosts {
		if err := h.suspend(); err != nil {
			return err
		}
	}
	for _, id := range ids(hosts...) {
		if err := r.watcher.waitFor(r.ctx, "the suspended target is NOT_SERVING", hasState(notServing, id)); err != nil {
			return err
		}
		v.note("%s was published as NOT_SERVING %v after it was suspended", id, time.Since(began).Round(100*time.Millisecond))
	}
	r.record.add(serving, silentBack, ids(hosts...)...)
	for _, h := range hosts {
		if err := h.resume(); err != nil {
			return err
		}
	}
	return r.watcher.waitFor(r.ctx, "the resumed targets are SERVING", allConfirmed(serving, ids(hosts...)))
}

// hasState returns a condition for waitFor. The condition is true when id is published with the
// state s, confirmed or unconfirmed.
func hasState(s State, id health.ID) func(map[health.ID]Seen) bool {
	return func(view map[health.ID]Seen) bool { return view[id].State == s }
}
