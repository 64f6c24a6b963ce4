package chaos

import (
	"errors"
	"time"
)

const (
	starveTargets = 1000
	starveTime    = 30 * time.Second
	starveStep    = 100 * time.Millisecond
)

// starve gives the coordinator half of the time, in small pieces: each too
// short to be noticed as a pause.
func starve(r *rig, v *Verdict) error {
	n := r.cfg.instances(starveTargets)
	if err := r.begin(settings{}); err != nil {
		return err
	}
	leased, static, err := r.halves(n)
	if err != nil {
		return err
	}
	r.say("%d targets are SERVING; starving the coordinator for %v", n, starveTime)
	done := r.flipTenth(0, starveTime, leased, static)
	for began := time.Now(); time.Since(began) < starveTime; {
		if err := errors.Join(r.frozen(starveStep), r.wait(starveStep)); err != nil {
			return err
		}
	}
	if err := done(); err != nil {
		return err
	}
	after := r.coordinator.settings.unreachableAfter()
	r.say("it is left in peace; watching it for %v", after)
	if err := r.wait(after); err != nil {
		return err
	}
	r.judge(v, n)
	return nil
}
