package coordinator

import (
	"context"
	"errors"
	"fmt"

	"github.com/meshhealth/meshhealth/health"
)

// Reload makes these the configured targets, and services how single services
// are judged and what they depend on, in place of Config.Static and
// Config.Policy.Services. If anything is wrong it changes nothing and says all of
// it, by field; if the store takes no records, some targets may have changed. It
// returns when everything is published. Run must run. Of several at once one goes
// after the other.
func (c *Coordinator) Reload(ctx context.Context, targets []Target, services map[string]health.ServicePolicy) error {
	all, err := registrationsOf(targets)
	policy := c.cfg.Policy
	policy.Services = services
	if err := errors.Join(err, policy.Validate()); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	done, err := c.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer done()
	c.static = all
	if err := c.registerStatic(ctx); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	if err := c.registry.Retune(ctx, services); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	c.services.Store(&services)
	return nil
}

// takeTurn waits until nobody else changes what is configured.
func (c *Coordinator) takeTurn(ctx context.Context) (done func(), err error) {
	select {
	case c.reloading <- struct{}{}:
		return func() { <-c.reloading }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
