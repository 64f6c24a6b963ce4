package chaos

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	flapHalfLife = 5 * time.Second
	flapTurns    = 9
	flapTime     = 4 * time.Second
	// flapBound is the longest a flapping target may be held after the last of
	// its turns, at this half-life.
	flapBound = 4*flapHalfLife + time.Second
)

// flap makes two targets of a service go down and up again and again: one ends
// up, one down. Each is held at its worst, and what it has become comes out at
// the end.
func flap(r *rig, v *Verdict) error {
	if err := r.begin(settings{policy: map[string]string{"flap_half_life": flapHalfLife.String()}}); err != nil {
		return err
	}
	// All they become may be published as late as it comes out at the end.
	r.bounds.Report = flapBound
	h, err := r.host(Group{Kind: kindOurs, Service: "flapping", Targets: 10, Leased: true})
	if err != nil {
		return err
	}
	if err := r.settle(h); err != nil {
		return err
	}
	flapping := ids(h)[:2]
	r.say("two targets flip %d times within %v", flapTurns, flapTime)
	err = h.obey(r.ctx, Order{
		Do: doStorm, IDs: []string{flapping[0].String(), flapping[1].String()}, Turns: flapTurns, Over: flapTime,
	})
	if err != nil {
		return err
	}
	return r.held(v, h, flapping)
}

// held wants both to be held, and let go.
func (r *rig) held(v *Verdict, h *hosted, flapping []health.ID) error {
	last := time.Now()
	if err := r.main.until(r.ctx, "both are let go, as what they have become", settled(r.record, flapping)); err != nil {
		return err
	}
	v.note("what they had become came out %v after their last turn", time.Since(last).Round(100*time.Millisecond))
	seen, _ := r.main.read()
	held := map[health.ID]bool{}
	for _, s := range seen {
		held[s.ID] = held[s.ID] || s.Cause == health.CauseFlapping.String()
	}
	for _, id := range flapping {
		v.require(held[id], "%s was not held", id)
	}
	r.judge(v, len(ids(h)))
	v.require(v.Transitions < flapTurns, "%d transitions of 2 targets were published, want less than the %d turns of one", v.Transitions, flapTurns)
	return nil
}

// settled is for until: none of these is held, and all are what they are.
func settled(rec *record, flapping []health.ID) func(map[health.ID]Seen) bool {
	return func(view map[health.ID]Seen) bool {
		truths, _ := rec.read()
		n, _ := Astray(truths, view)
		for _, id := range flapping {
			if view[id].Cause == health.CauseFlapping.String() {
				return false
			}
		}
		return n == 0
	}
}
