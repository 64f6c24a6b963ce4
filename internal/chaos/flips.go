package chaos

import (
	"context"
	"errors"
	"time"
)

// someTargets is the number of targets of each child process that become NOT_SERVING while other
// targets are silent. If these changes are published, the coordinator still follows the targets that
// answer.
const someTargets = 5

// flipSome makes the first 5 targets of each child process NOT_SERVING (the constant someTargets).
func (r *rig) flipSome(hosts ...*hostProcess) error {
	for _, h := range hosts {
		var names []string
		for _, id := range ids(h)[:someTargets] {
			names = append(names, id.String())
		}
		if err := h.run(r.ctx, Command{Do: commandSet, IDs: names, State: notServing}); err != nil {
			return err
		}
	}
	return nil
}

// flipTenth makes every tenth target NOT_SERVING during the first half of the time `duration`.
// Half of these targets become SERVING again during the second half. Each of ten rounds uses
// different targets, so that no target flaps. The returned function waits for the last change.
func (r *rig) flipTenth(round int, duration time.Duration, hosts ...*hostProcess) (wait func() error) {
	return r.startFlips(Command{Turns: 2, Duration: duration}, func(i int) bool { return i%10 == round%10 }, hosts)
}

// flipAll changes the states of all targets c.Turns times within c.Duration. It then waits for as
// long as the coordinator may need to publish the last change.
func (r *rig) flipAll(c Command, hosts ...*hostProcess) error {
	if err := r.startFlips(c, func(int) bool { return true }, hosts)(); err != nil {
		return err
	}
	return r.wait(r.bounds.Hold + r.bounds.Report)
}

func (r *rig) startFlips(c Command, selected func(i int) bool, hosts []*hostProcess) (wait func() error) {
	c.Do = commandFlip
	var waits []func(context.Context) error
	for _, h := range hosts {
		c.IDs, c.Seed = nil, r.random.Uint64()
		for i, id := range ids(h) {
			if selected(i) {
				c.IDs = append(c.IDs, id.String())
			}
		}
		waits = append(waits, h.startCommand(c))
	}
	return func() error {
		var errs []error
		for _, wait := range waits {
			errs = append(errs, wait(r.ctx))
		}
		return errors.Join(errs...)
	}
}
