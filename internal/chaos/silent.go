package chaos

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	silentTargets = 100
	// silentBack is the time within which a target that answers again must be published as
	// SERVING. The coordinator dials a silent target less and less often: at last every
	// 15 s and up to a quarter more.
	silentBack = 19*time.Second + 3*time.Second
	// silentTTL has the same ratio to blackholePatience as the defaults. A target that
	// renewed its lease within half of the TTL counts as reachable.
	silentTTL = 2 * blackholePatience
)

// silent suspends two processes with one target each, while all other targets answer.
// The two targets must be published as dead within the bound.
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

// suspendUntilDead suspends hosts until their targets are published as dead, and
// resumes them.
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

// hasState returns a condition for waitFor. It is true when the name id has the state s,
// confirmed or not.
func hasState(s State, id health.ID) func(map[health.ID]Seen) bool {
	return func(view map[health.ID]Seen) bool { return view[id].State == s }
}
