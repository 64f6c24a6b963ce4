package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	killTargets = 1000
	// killAfter is the least time a coordinator lives, and up to as much more.
	killAfter = 2 * time.Second
	// regroup is how long after its start a coordinator may take to have heard of
	// all of its targets, and the watchers and leases to find it.
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
	v.note("%d registrations and %d overrides were acknowledged, in %d rounds; %v at most until all targets were confirmed again",
		len(l.registered), len(l.overridden), r.cfg.Rounds, l.slowest.Round(time.Millisecond))
	v.require(l.slowest <= regroup, "it took %v until all targets were confirmed again, want %v", l.slowest, regroup)
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
	known := r.epoch()
	if err := r.restart(); err != nil {
		return err
	}
	back := time.Now()
	if err := r.main.until(r.ctx, "the new coordinator has heard of all targets", heard(known, ids(hosts...))); err != nil {
		return err
	}
	took := time.Since(back)
	l.slowest = max(l.slowest, took)
	// What happened before it had found them it could not publish.
	r.record.outage(from, back.Add(took))
	return errors.Join(r.wait(regroup-took), done())
}

// epoch is that of the coordinator the watcher heard last.
func (r *rig) epoch() uint64 {
	_, view := r.main.read()
	return view[health.ID{}].Epoch
}

// heard is for until: another coordinator than that of an epoch is sure of all
// of these.
func heard(epoch uint64, ids []health.ID) func(map[health.ID]Seen) bool {
	return func(view map[health.ID]Seen) bool {
		return !slices.ContainsFunc(ids, func(id health.ID) bool {
			s := view[id]
			return s.Epoch == epoch || s.Epoch == 0 || s.Unconfirmed || s.State == starting
		})
	}
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
