package demo

import (
	"context"
	"fmt"
	"time"
)

// step is one action of the demo, such as the kill of a process.
type step struct {
	delay  time.Duration // time between the previous step and this step
	what   string        // text about the step for the user
	do     func() error
	freeze bool // true if the step suspends or resumes a process; such steps are skipped if canFreeze is false
}

// firstStep is the time from the start of the mesh to the first step.
const firstStep = 2 * time.Second

// roundPause is the time between two rounds of steps.
const roundPause = 6 * time.Second

// steps returns the steps of one round. Some faults overlap, as often happens in production.
func (d *demo) steps() []step {
	const second = time.Second
	database := d.backends[slowService]
	frozen, killed, drained := d.firstInstance(frozenService), d.firstInstance(killedService), d.firstInstance(drainedService)
	return []step{
		{delay: 0, what: "the database of payments takes 120 ms (limit 50 ms)", do: database.slowDown},
		{delay: 2 * second, what: "the database of payments refuses connections", do: database.close},
		{delay: second, what: "ledger/a is frozen (SIGSTOP): it does not answer, but its port stays open", do: frozen.freeze, freeze: true},
		{delay: 3 * second, what: "the database of payments recovers", do: database.recover},
		{delay: 2 * second, what: "search/a is killed (SIGKILL)", do: killed.kill},
		{delay: second, what: "ledger/a continues (SIGCONT)", do: frozen.thaw, freeze: true},
		{delay: 2 * second, what: "search/a is started again", do: killed.restart},
		{delay: 2 * second, what: "sessions/a drains and deregisters", do: drained.drain},
		{delay: 2 * second, what: "sessions/a is started again", do: drained.restart},
	}
}

// playSteps runs the steps in rounds, again and again, until ctx ends.
func (d *demo) playSteps(ctx context.Context) error {
	if !sleep(ctx, firstStep) {
		return nil
	}
	for {
		for _, a := range d.steps() {
			if !sleep(ctx, a.delay) {
				return nil
			}
			if a.freeze && !canFreeze {
				continue
			}
			if err := d.runStep(a); err != nil {
				return fmt.Errorf("%s: %w", a.what, err)
			}
		}
		if !sleep(ctx, roundPause) {
			return nil
		}
	}
}

func (d *demo) runStep(a step) error {
	d.say("» %s", a.what)
	d.viewer.noteStep(a.what)
	return a.do()
}

// sleep waits for the duration d. It returns false if ctx ended before d had passed.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
