package chaos

import (
	"errors"
	"time"
)

const (
	pauseTargets = 1000
	pauseTime    = 10 * time.Second
)

// pause is a scenario. It suspends the coordinator for 10 s. Targets that change their states in
// this time must be published with their new states afterwards. All other targets must keep their
// states.
func pause(r *rig, v *Verdict) error {
	n := r.cfg.instances(pauseTargets)
	if err := r.start(settings{}); err != nil {
		return err
	}
	leased, static, err := r.hostLeasedAndStatic(n)
	if err != nil {
		return err
	}
	r.progress("%d targets are SERVING; stopping the coordinator for %v", n, pauseTime)
	done := r.flipTenth(0, pauseTime*3/2, leased, static)
	if err := r.suspendCoordinator(pauseTime); err != nil {
		return err
	}
	if err := done(); err != nil {
		return err
	}
	// If the coordinator mistook its own pause for silence of the targets, it would publish
	// the targets as dead within the time `deadline`.
	deadline := r.coordinator.settings.unreachableAfter()
	r.progress("the coordinator is resumed; watching it for %v", deadline)
	if err := r.wait(deadline); err != nil {
		return err
	}
	r.countErrors(v, n)
	return nil
}

// suspendCoordinator suspends the coordinator for the duration d, and records this time as an
// outage, in which the coordinator cannot publish.
func (r *rig) suspendCoordinator(d time.Duration) error {
	from := time.Now()
	if err := r.coordinator.suspend(); err != nil {
		return err
	}
	if err := r.wait(d); err != nil {
		return err
	}
	err := r.coordinator.resume()
	r.record.addOutage(from, time.Now())
	return err
}

const (
	starveTargets = 1000
	starveTime    = 30 * time.Second
	starveStep    = 100 * time.Millisecond
)

// starve is a scenario. It suspends the coordinator for 100 ms and resumes it for 100 ms, again
// and again. Each suspension is too short for the coordinator to notice that it was late. No
// target may be published with a false state.
func starve(r *rig, v *Verdict) error {
	n := r.cfg.instances(starveTargets)
	if err := r.start(settings{}); err != nil {
		return err
	}
	leased, static, err := r.hostLeasedAndStatic(n)
	if err != nil {
		return err
	}
	r.progress("%d targets are SERVING; starving the coordinator for %v", n, starveTime)
	done := r.flipTenth(0, starveTime, leased, static)
	for began := time.Now(); time.Since(began) < starveTime; {
		if err := errors.Join(r.suspendCoordinator(starveStep), r.wait(starveStep)); err != nil {
			return err
		}
	}
	if err := done(); err != nil {
		return err
	}
	deadline := r.coordinator.settings.unreachableAfter()
	r.progress("the coordinator is not suspended any more; watching it for %v", deadline)
	if err := r.wait(deadline); err != nil {
		return err
	}
	r.countErrors(v, n)
	return nil
}
