package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// do carries out an order.
func (h *host) do(o *Order) error {
	switch o.Do {
	case doSet:
		for _, t := range h.named(o.IDs) {
			t.become(o.State)
		}
		return nil
	case doStorm:
		return h.storm(o)
	case doRoll:
		return h.roll()
	case doGrow:
		return h.grow(o)
	case doShrink:
		return h.shrink()
	}
	return fmt.Errorf("there is no order %q", o.Do)
}

// named returns the targets of these names, all if there are none.
func (h *host) named(ids []string) []*target {
	all := h.all()
	if len(ids) == 0 {
		return all
	}
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	return slices.DeleteFunc(all, func(t *target) bool { return !wanted[t.id.String()] })
}

// storm turns every target so often, spread over a time, in an order that is new
// each round. Every other one is left NOT_SERVING at the end.
func (h *host) storm(o *Order) error {
	targets := h.named(o.IDs)
	began, n := time.Now(), 0
	for round := range o.Turns {
		for _, i := range rand.Perm(len(targets)) {
			due := began.Add(o.Over * time.Duration(n) / time.Duration(o.Turns*len(targets)))
			if !sleep(h.ctx, time.Until(due)) {
				return h.ctx.Err()
			}
			n++
			// Those with an odd number sit out the last round.
			if round < o.Turns-1 || i%2 == 0 {
				targets[i].become([]State{notServing, serving}[round%2])
			}
		}
	}
	return nil
}

// roll deploys anew: in every service at once, one by one, a new target is
// started beside an old one, which then leaves.
func (h *host) roll() error {
	services := map[string][]*target{}
	for _, t := range h.all() {
		services[t.id.Service] = append(services[t.id.Service], t)
	}
	return each(services, func(old []*target) error {
		for _, t := range old {
			if err := h.replace(t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *host) replace(old *target) error {
	next := &target{h: h, id: old.id, way: byReport, name: old.name}
	next.id.Instance += "-next"
	if err := h.add(&Group{Kind: kindOurs, Leased: true}, []*target{next}); err != nil {
		return err
	}
	if err := next.registered(h.ctx); err != nil {
		return err
	}
	return h.retire(old)
}

// retire lets a target leave.
func (h *host) retire(t *target) error {
	h.mu.Lock()
	h.targets = slices.DeleteFunc(h.targets, func(one *target) bool { return one == t })
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.ctx, leaveTime)
	defer cancel()
	return t.leave(ctx)
}

// grow starts more instances of a service.
func (h *host) grow(o *Order) error {
	g := &Group{Kind: kindOurs, Service: o.Service, Each: 1 << 20, Leased: true, PerAddress: 1}
	first := len(h.all())
	for n := first; n < first+o.Count; n++ {
		if _, err := h.share(g, n, n+1); err != nil {
			return err
		}
	}
	for _, t := range h.all() {
		if err := t.registered(h.ctx); err != nil {
			return err
		}
	}
	return nil
}

// shrink lets all leave at once.
func (h *host) shrink() error {
	all := map[string]*target{}
	for _, t := range h.all() {
		all[t.id.String()] = t
	}
	return each(all, h.retire)
}

// each calls f for all of them side by side, and joins the errors.
func each[T any](all map[string]T, f func(T) error) error {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for _, one := range all {
		wg.Go(func() {
			err := f(one)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// sleep reports whether ctx still lasts.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
