package chaos

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	flapHalfLife = 5 * time.Second // the setting flap_half_life of the coordinator
	flapTurns    = 9               // number of changes of each flapping target
	flapTime     = 4 * time.Second // time in which a flapping target makes all its changes
	// flapBound is the longest time from the last change of a flapping target until flap
	// damping must publish the final state.
	flapBound = 4*flapHalfLife + time.Second
)

// flap is a scenario. It changes the states of two targets of a service many times. One target
// ends as SERVING and one as NOT_SERVING. Flap damping must suppress both targets while they
// change. It must publish their final states at the end.
func flap(r *rig, v *Verdict) error {
	if err := r.start(settings{policy: map[string]string{"flap_half_life": flapHalfLife.String()}}); err != nil {
		return err
	}
	// Flap damping may delay every state of a flapping target. So the time limit flapBound
	// is for every state, and not only for the final state.
	r.bounds.Report = flapBound
	h, err := r.host(Group{Kind: kindOurs, Service: "flapping", Targets: 10, Leased: true})
	if err != nil {
		return err
	}
	if err := r.waitUntilServing(h); err != nil {
		return err
	}
	flapping := ids(h)[:2]
	r.progress("two targets flip %d times within %v", flapTurns, flapTime)
	err = h.run(r.ctx, Command{
		Do: commandFlip, IDs: []string{flapping[0].String(), flapping[1].String()}, Turns: flapTurns, Duration: flapTime,
	})
	if err != nil {
		return err
	}
	return requireDamped(r, v, h, flapping)
}

// requireDamped requires that flap damping has suppressed both flapping targets, and that their
// final states are published.
func requireDamped(r *rig, v *Verdict, h *hostProcess, flapping []health.ID) error {
	last := time.Now()
	if err := r.watcher.waitFor(r.ctx, "both targets are published with their final states", matchesTruth(r.record, flapping)); err != nil {
		return err
	}
	v.note("the final states were published %v after the last change", time.Since(last).Round(100*time.Millisecond))
	seen, _ := r.watcher.read()
	held := map[health.ID]bool{}
	for _, s := range seen {
		held[s.ID] = held[s.ID] || s.Cause == health.CauseFlapping.String()
	}
	for _, id := range flapping {
		v.require(held[id], "%s was not suppressed", id)
	}
	r.countErrors(v, len(ids(h)))
	v.require(v.Transitions < flapTurns, "%d transitions of 2 targets were published, want fewer than the %d changes of one target", v.Transitions, flapTurns)
	return nil
}

// matchesTruth returns a condition for waitFor. The condition is true when every target is
// published with its true state, and flap damping does not suppress a target in flapping.
func matchesTruth(rec *record, flapping []health.ID) func(map[health.ID]Seen) bool {
	return func(view map[health.ID]Seen) bool {
		truths, _ := rec.read()
		n, _ := WrongEnds(truths, view)
		for _, id := range flapping {
			if view[id].Cause == health.CauseFlapping.String() {
				return false
			}
		}
		return n == 0
	}
}
