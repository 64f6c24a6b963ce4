package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	killTargets = 1000
	// killAfter is the least time a coordinator lives, and up to as much more.
	killAfter = 2 * time.Second
	// regroup is how long after its start a coordinator may take to find all of
	// its targets, and the watchers and leases to find it.
	regroup = 5 * time.Second
)

// kill kills the coordinator while it registers, overrides and follows flips.
// Nobody may be called dead for it, and what was acknowledged must be there.
func kill(r *rig, v *Verdict) error {
	n := r.cfg.instances(killTargets)
	if err := r.begin(settings{policy: undamped}); err != nil {
		return err
	}
	leased, static, err := r.halves(n)
	if err != nil {
		return err
	}
	l, err := r.newLoad(static)
	if err != nil {
		return err
	}
	for round := range r.cfg.Rounds {
		if err := r.killOnce(round, l, leased, static); err != nil {
			return err
		}
		if err := r.keptAll(v, l); err != nil {
			return err
		}
	}
	if err := r.wait(r.coordinator.settings.unreachableAfter()); err != nil {
		return err
	}
	v.note("%d registrations and %d overrides were acknowledged, in %d rounds", len(l.registered), len(l.overridden), r.cfg.Rounds)
	r.judge(v, n)
	return nil
}

// undamped lets every flip out, where flips are not what is tried.
var undamped = map[string]string{"flap_half_life": "off"}

func (r *rig) killOnce(round int, l *load, hosts ...*hosted) error {
	lives := killAfter + rand.N(killAfter)
	r.say("round %d of %d: killed after %v under load", round+1, r.cfg.Rounds, lives.Round(10*time.Millisecond))
	stop := l.start(r.ctx)
	defer stop()
	done := r.flipTenth(round, lives+regroup, hosts...)
	if err := r.wait(lives); err != nil {
		return err
	}
	from := time.Now()
	r.coordinator.kill()
	stop()
	if err := r.restart(); err != nil {
		return err
	}
	r.record.outage(from, time.Now().Add(regroup))
	return errors.Join(r.wait(regroup), done())
}

// keptAll compares what was acknowledged with what the coordinator lists.
func (r *rig) keptAll(v *Verdict, l *load) error {
	all, err := list(r.ctx, l.client, nil)
	if err != nil {
		return err
	}
	there, forced := map[health.ID]bool{}, map[health.ID]bool{}
	for _, h := range all {
		id := health.ID{Service: h.GetService(), Instance: h.GetInstance()}
		there[id], forced[id] = true, h.GetOverride() != nil
	}
	lost := append(missing(l.registered, there), missing(l.overridden, forced)...)
	v.require(len(lost) == 0, "%d acknowledged registrations and overrides are lost: %s", len(lost), inWords(lost))
	return nil
}

func missing(want []health.ID, there map[health.ID]bool) []string {
	var lost []string
	for _, id := range want {
		if !there[id] {
			lost = append(lost, fmt.Sprint(id))
		}
	}
	return lost
}
