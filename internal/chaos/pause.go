package chaos

import "time"

const (
	pauseTargets = 1000
	pauseTime    = 10 * time.Second
)

// pause stops the coordinator for longer than most registries' patience. What
// flips meanwhile must come out afterwards, and nobody else may.
func pause(r *rig, v *Verdict) error {
	n := r.cfg.instances(pauseTargets)
	if err := r.begin(settings{}); err != nil {
		return err
	}
	leased, static, err := r.halves(n)
	if err != nil {
		return err
	}
	r.say("%d targets are SERVING; stopping the coordinator for %v", n, pauseTime)
	done := r.flipTenth(0, pauseTime*3/2, leased, static)
	if err := r.frozen(pauseTime); err != nil {
		return err
	}
	if err := done(); err != nil {
		return err
	}
	// Whoever were given up for our own silence would be by then.
	after := r.coordinator.settings.unreachableAfter()
	r.say("it goes on; watching it for %v", after)
	if err := r.wait(after); err != nil {
		return err
	}
	r.judge(v, n)
	return nil
}

// frozen stops the coordinator for a time.
func (r *rig) frozen(d time.Duration) error {
	from := time.Now()
	if err := r.coordinator.stop(); err != nil {
		return err
	}
	if err := r.wait(d); err != nil {
		return err
	}
	err := r.coordinator.cont()
	r.record.outage(from, time.Now())
	return err
}
