package chaos

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	silentTargets = 100
	// silentBack is within what time one that answers again must be SERVING: who
	// is dialled in vain is dialled less and less often, every 15 s and a
	// quarter at last.
	silentBack = 19*time.Second + 3*time.Second
	// silentTTL is to blackholePatience as the defaults are to each other: who
	// renewed its lease within half of it is not given up.
	silentTTL = 2 * blackholePatience
)

// silent stops two processes of one target each, while all others answer. Those
// are dead as far as anybody can tell, and must be called so in time.
func silent(r *rig, v *Verdict) error {
	n := r.cfg.instances(silentTargets)
	if err := r.begin(settings{patient: blackholePatience}); err != nil {
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
	if err := r.settle(leased, static, rest); err != nil {
		return err
	}
	r.say("%d targets are SERVING; two are stopped", n)
	if err := r.silence(v, leased, static); err != nil {
		return err
	}
	if err := r.wait(time.Second); err != nil {
		return err
	}
	r.judge(v, n)
	return nil
}

// silence stops hosts until their targets are called dead.
func (r *rig) silence(v *Verdict, hosts ...*hosted) error {
	began := time.Now()
	r.record.now(notServing, r.bounds.Path, ids(hosts...)...)
	for _, h := range hosts {
		if err := h.stop(); err != nil {
			return err
		}
	}
	for _, id := range ids(hosts...) {
		if err := r.main.until(r.ctx, "who is silent is called dead", is(notServing, id)); err != nil {
			return err
		}
		v.note("%s was called dead %v after it had been stopped", id, time.Since(began).Round(100*time.Millisecond))
	}
	r.record.now(serving, silentBack, ids(hosts...)...)
	for _, h := range hosts {
		if err := h.cont(); err != nil {
			return err
		}
	}
	return r.main.until(r.ctx, "who speaks again is SERVING", confirmed(serving, ids(hosts...)))
}

// is is for until: this one is in a state, sure or not.
func is(s State, id health.ID) func(map[health.ID]Seen) bool {
	return func(view map[health.ID]Seen) bool { return view[id].State == s }
}
