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

// execute runs a command and returns when the command is done.
func (h *host) execute(c *Command) error {
	switch c.Do {
	case commandSet:
		for _, t := range h.targetsNamed(c.IDs) {
			t.setState(c.State)
		}
		return nil
	case commandFlip:
		return h.flipTargets(c)
	case commandRoll:
		return h.rollTargets()
	case commandGrow:
		return h.growService(c)
	case commandStopAll:
		return h.stopAll()
	case commandOpen:
		return h.openGroups(c.Groups)
	}
	return fmt.Errorf("the command %q is unknown", c.Do)
}

// targetsNamed returns the targets whose names are in ids. If ids is empty, it returns all
// targets.
func (h *host) targetsNamed(ids []string) []*target {
	all := h.allTargets()
	if len(ids) == 0 {
		return all
	}
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	return slices.DeleteFunc(all, func(t *target) bool { return !wanted[t.id.String()] })
}

// flipTargets changes the states of the targets in c.IDs, evenly within c.Duration. In each of
// c.Turns rounds it changes every target once, in a random order that c.Seed decides. At the end,
// about half of the targets are NOT_SERVING.
func (h *host) flipTargets(c *Command) error {
	targets := h.targetsNamed(c.IDs)
	random := rand.New(rand.NewPCG(c.Seed, 0))
	began, n := time.Now(), 0
	for round := range c.Turns {
		for _, i := range random.Perm(len(targets)) {
			due := began.Add(c.Duration * time.Duration(n) / time.Duration(c.Turns*len(targets)))
			if !sleep(h.ctx, time.Until(due)) {
				return h.ctx.Err()
			}
			n++
			// Targets with an odd index do not change in the last round, so that the
			// two halves end with different states.
			if round < c.Turns-1 || i%2 == 0 {
				targets[i].setState([]State{notServing, serving}[round%2])
			}
		}
	}
	return nil
}

// rollTargets replaces all targets by new ones: services concurrently, and the targets of one
// service one after the other. Each new target starts before the old one drains.
func (h *host) rollTargets() error {
	services := map[string][]*target{}
	for _, t := range h.allTargets() {
		services[t.id.Service] = append(services[t.id.Service], t)
	}
	return forEach(services, func(old []*target) error {
		for _, t := range old {
			if err := h.replaceTarget(t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *host) replaceTarget(old *target) error {
	next := &target{h: h, id: old.id, source: byReport, name: old.name}
	next.id.Instance += "-next"
	if err := h.serveTargets(&Group{Kind: kindOurs, Leased: true}, anyPort, []*target{next}); err != nil {
		return err
	}
	if err := next.waitRegistered(h.ctx); err != nil {
		return err
	}
	return h.stopTarget(old)
}

// stopTarget removes a target from the list of the host, and drains and stops its server.
func (h *host) stopTarget(t *target) error {
	h.mu.Lock()
	h.targets = slices.DeleteFunc(h.targets, func(one *target) bool { return one == t })
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.ctx, leaveTime)
	defer cancel()
	return t.drain(ctx)
}

// growService starts c.Count more instances of a service.
func (h *host) growService(c *Command) error {
	g := &Group{Kind: kindOurs, Service: c.Service, Each: 1 << 20, Leased: true, PerAddress: 1}
	first := len(h.allTargets())
	for n := first; n < first+c.Count; n++ {
		if _, err := h.openServer(g, n, n+1); err != nil {
			return err
		}
	}
	return h.waitAllRegistered()
}

// openGroups starts the targets of each group, and waits until all leased targets are registered.
func (h *host) openGroups(groups []Group) error {
	for i := range groups {
		if err := h.openGroup(&groups[i]); err != nil {
			return err
		}
	}
	return h.waitAllRegistered()
}

// waitAllRegistered waits until every leased target is registered.
func (h *host) waitAllRegistered() error {
	for _, t := range h.allTargets() {
		if err := t.waitRegistered(h.ctx); err != nil {
			return err
		}
	}
	return nil
}

// stopAll drains all targets at the same time.
func (h *host) stopAll() error {
	all := map[string]*target{}
	for _, t := range h.allTargets() {
		all[t.id.String()] = t
	}
	return forEach(all, h.stopTarget)
}

// forEach calls f for all values of a map concurrently. It waits for all calls and joins their
// errors.
func forEach[T any](all map[string]T, f func(T) error) error {
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

// sleep waits for the duration d. It returns false if ctx ended before d had passed.
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
