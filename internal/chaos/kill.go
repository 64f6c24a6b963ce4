package chaos

import (
	"errors"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	killTargets = 1000
	// killAfter is the shortest time for which a coordinator runs before it is killed. The
	// longest time is twice as long.
	killAfter = 2 * time.Second
	// regroup is the time from the restart of a killed coordinator until the end of a round,
	// which has one kill. A coordinator needs about one second to confirm all targets.
	regroup = 5 * time.Second
)

// kill is a scenario. It kills the coordinator again and again, while targets register,
// deregister and change their states. No kill may make a target published as dead. All
// acknowledged registrations and overrides must exist after each restart.
func kill(r *rig, v *Verdict) error {
	n := r.cfg.instances(killTargets)
	if err := r.start(settings{policy: undamped}); err != nil {
		return err
	}
	leased, static, err := r.hostLeasedAndStatic(n)
	if err != nil {
		return err
	}
	l, err := newLoad(r, static)
	if err != nil {
		return err
	}
	for round := range r.cfg.Rounds {
		if err := killRound(r, round, l, leased, static); err != nil {
			return err
		}
		if err := r.requireAcknowledged(v, l); err != nil {
			return err
		}
	}
	limit := r.coordinator.settings.unreachableAfter()
	if err := r.wait(limit); err != nil {
		return err
	}
	v.note("%d registrations and overrides and %d deregistrations were acknowledged, in %d rounds; all targets were confirmed again within %v",
		l.acknowledged, len(l.deregistered), r.cfg.Rounds, l.slowest.Round(time.Millisecond))
	// If a coordinator needs longer than the time `limit` to confirm a target, it publishes the
	// target as unreachable.
	v.require(l.slowest <= limit, "it took %v until all targets were confirmed again, want at most %v", l.slowest, limit)
	r.countErrors(v, n)
	return nil
}

// undamped is a coordinator policy that switches flap damping off. It is for scenarios that change
// the states of targets often, but do not test flap damping.
var undamped = map[string]string{"flap_half_life": "off"}

func killRound(r *rig, round int, l *load, hosts ...*hostProcess) error {
	lives := killAfter + time.Duration(r.random.Int64N(int64(killAfter)))
	r.progress("round %d of %d: killed after %v under load", round+1, r.cfg.Rounds, lives.Round(10*time.Millisecond))
	stop, err := l.start(r.ctx)
	if err != nil {
		return err
	}
	defer stop()
	done := r.flipTenth(round, lives+regroup, hosts...)
	if err := r.wait(lives); err != nil {
		return err
	}
	from := time.Now()
	r.coordinator.kill()
	stop()
	known := lastEpoch(r)
	if err := r.launchCoordinator(); err != nil {
		return err
	}
	back := time.Now()
	if err := r.watcher.waitFor(r.ctx, "the new coordinator has confirmed all targets", allHeardBy(known, ids(hosts...))); err != nil {
		return err
	}
	took := time.Since(back)
	l.slowest = max(l.slowest, took)
	// The outage ends when the new coordinator has reached all targets. It could not publish
	// the changes of a target before it had reached the target.
	r.record.addOutage(from, back.Add(took))
	return errors.Join(r.wait(regroup-took), done())
}

// lastEpoch returns the epoch of the coordinator process that sent the last update to the
// watcher.
func lastEpoch(r *rig) uint64 {
	_, view := r.watcher.read()
	return view[health.ID{}].Epoch
}

// allHeardBy returns a condition for waitFor. The condition is true when a new coordinator process
// has published all targets in ids as confirmed. epoch is the epoch of the old process.
func allHeardBy(epoch uint64, ids []health.ID) func(map[health.ID]Seen) bool {
	return func(view map[health.ID]Seen) bool {
		return !slices.ContainsFunc(ids, func(id health.ID) bool {
			s := view[id]
			return s.Epoch == epoch || s.Epoch == 0 || s.Unconfirmed || s.State == starting
		})
	}
}

// requireAcknowledged requires that List of the coordinator shows the effects of all acknowledged
// registrations, overrides and deregistrations that the load l has made.
func (r *rig) requireAcknowledged(v *Verdict, l *load) error {
	v.require(l.refused == nil, "the coordinator has refused a call of the load: %v", l.refused)
	all, err := list(r.ctx, l.client, nil)
	if err != nil {
		return err
	}
	there, forced := map[health.ID]bool{}, map[health.ID]bool{}
	for _, h := range all {
		id := health.ID{Service: h.GetService(), Instance: h.GetInstance()}
		there[id], forced[id] = true, h.GetOverride() != nil
	}
	lost := slices.Concat(mismatched(l.registered, there, true), mismatched(l.overridden, forced, true))
	v.require(len(lost) == 0, "%d acknowledged registrations and overrides are lost: %s", len(lost), joinFaults(lost))
	back := mismatched(l.deregistered, there, false)
	v.require(len(back) == 0, "%d targets are listed although their deregistration was acknowledged: %s", len(back), joinFaults(back))
	return nil
}

// mismatched returns the names of the targets in all for which got does not have the value want.
func mismatched(all []health.ID, got map[health.ID]bool, want bool) []string {
	var wrong []string
	for _, id := range all {
		if got[id] != want {
			wrong = append(wrong, id.String())
		}
	}
	return wrong
}
