package demo

import (
	"context"
	"fmt"
	"time"
)

// playStory plays the story again and again until ctx ends.
func (d *demo) playStory(ctx context.Context) error {
	if !sleep(ctx, firstStep) {
		return nil
	}
	for {
		for _, s := range story() {
			if !sleep(ctx, s.delay) {
				return nil
			}
			if !s.possible() {
				continue
			}
			d.announce(&s)
			if err := d.perform(ctx, &s); err != nil {
				return fmt.Errorf("%s: %w", s.what, err)
			}
		}
		d.say("» the story begins again in %v", firstStep)
		if !sleep(ctx, firstStep) {
			return nil
		}
	}
}

// announce prints what a step does, and what the user can see.
func (d *demo) announce(s *step) {
	d.say("» %s", s.what)
	if s.try == "" {
		d.say("  %s", s.look)
	} else {
		d.say("  %s: %s", s.look, d.command(s.try))
	}
	d.viewer.noteStep(s.what)
}

// perform executes a step.
func (d *demo) perform(ctx context.Context, s *step) error {
	switch s.verb {
	case slowDown:
		d.backends[s.target].slowDown()
	case refuse:
		d.backends[s.target].close()
	case repair:
		d.repair(ctx, d.backends[s.target])
	case cutNetwork:
		d.network.cut()
	case joinNetwork:
		d.network.join()
	case freeze:
		return d.findInstance(s.target).freeze()
	case thaw:
		return d.findInstance(s.target).thaw()
	case kill:
		d.findInstance(s.target).kill()
	case drain:
		d.findInstance(s.target).drain()
	case startAgain:
		d.findInstance(s.target).restart()
	}
	return nil
}

// repair makes a backend work again. Another program may have got the port of the backend
// meanwhile. Then repair waits until the port is free.
func (d *demo) repair(ctx context.Context, b *backend) {
	for err := b.repair(); err != nil; err = b.repair() {
		d.say("  %v; trying again", err)
		if !sleep(ctx, time.Second) {
			return
		}
	}
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
