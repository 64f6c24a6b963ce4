package chaos

import (
	"context"
	"errors"
	"time"
)

// someTargets is how many of each host flip where that is not the point: it
// shows that the living are still listened to.
const someTargets = 5

// flipSome makes some targets of each host NOT_SERVING.
func (r *rig) flipSome(hosts ...*hosted) error {
	for _, h := range hosts {
		var names []string
		for _, id := range ids(h)[:someTargets] {
			names = append(names, id.String())
		}
		if err := h.obey(r.ctx, Order{Do: doSet, IDs: names, State: notServing}); err != nil {
			return err
		}
	}
	return nil
}

// flipTenth makes every tenth target NOT_SERVING within the first half of a
// time, and every other of these SERVING again in the second: other ones in each
// round, so that none flaps. The function it returns waits for the end.
func (r *rig) flipTenth(round int, over time.Duration, hosts ...*hosted) (wait func() error) {
	return r.flips(Order{Turns: 2, Over: over}, func(i int) bool { return i%10 == round%10 }, hosts)
}

// flipAll makes all targets flip, and waits until what they have become should
// be known.
func (r *rig) flipAll(o Order, hosts ...*hosted) error {
	if err := r.flips(o, func(int) bool { return true }, hosts)(); err != nil {
		return err
	}
	return r.wait(r.bounds.Hold + r.bounds.Report)
}

func (r *rig) flips(o Order, who func(i int) bool, hosts []*hosted) (wait func() error) {
	o.Do = doStorm
	var waits []func(context.Context) error
	for _, h := range hosts {
		o.IDs = nil
		for i, id := range ids(h) {
			if who(i) {
				o.IDs = append(o.IDs, id.String())
			}
		}
		waits = append(waits, h.order(o))
	}
	return func() error {
		var errs []error
		for _, wait := range waits {
			errs = append(errs, wait(r.ctx))
		}
		return errors.Join(errs...)
	}
}
