package coordinator

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// configured holds the targets and the service policies that the configuration file contains.
// A reload of the file replaces both.
type configured struct {
	registry *registry.Registry
	// turn is a lock: it contains one element while a goroutine changes the configuration.
	turn     chan struct{}
	targets  []wire.Registration // current targets; turn guards them
	services atomic.Pointer[map[string]health.ServicePolicy]
}

func newConfigured(r *registry.Registry, targets []wire.Registration, services map[string]health.ServicePolicy) *configured {
	c := &configured{registry: r, turn: make(chan struct{}, 1), targets: targets}
	c.services.Store(&services)
	return c
}

// servicePolicies returns the current policies by service. The map must not be changed.
func (c *configured) servicePolicies() map[string]health.ServicePolicy { return *c.services.Load() }

// registerTargets registers the current targets. These are the targets with which the coordinator
// was started or, if a reload came before this call, the targets of the reload.
func (c *configured) registerTargets(ctx context.Context) error {
	unlock, err := c.lockTurn(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return c.registerLocked(ctx)
}

// replace makes the parameters targets and services the current configuration. Concurrent calls run
// one after the other.
func (c *configured) replace(ctx context.Context, targets []wire.Registration, services map[string]health.ServicePolicy) error {
	unlock, err := c.lockTurn(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c.targets = targets
	if err := c.registerLocked(ctx); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	if err := c.registry.Retune(ctx, services); err != nil {
		return fmt.Errorf("coordinator: %w", err)
	}
	c.services.Store(&services)
	return nil
}

func (c *configured) registerLocked(ctx context.Context) error {
	if err := c.registry.Configure(ctx, c.targets); err != nil {
		return fmt.Errorf("services of the configuration: %w", err)
	}
	return nil
}

// lockTurn waits until no other goroutine changes the configuration. The caller must call unlock.
func (c *configured) lockTurn(ctx context.Context) (unlock func(), err error) {
	select {
	case c.turn <- struct{}{}:
		return func() { <-c.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
