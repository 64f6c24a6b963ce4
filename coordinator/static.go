package coordinator

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// registrationsOf returns the checked registrations of configured targets.
func registrationsOf(targets []Target) (all []wire.Registration, err error) {
	var errs []error
	seen := map[health.ID]int{}
	for i := range targets {
		reg, err := wire.OneRegistration(targets[i].registration())
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s", at(i), status.Convert(err).Message()))
			continue
		}
		if first, twice := seen[reg.ID]; twice {
			errs = append(errs, fmt.Errorf("%s: names %v, as %s does; allowed: each once", at(i), reg.ID, at(first)))
			continue
		}
		seen[reg.ID] = i
		reg.Spec.Configured = true
		all = append(all, reg)
	}
	return all, errors.Join(errs...)
}

func at(i int) string { return fmt.Sprintf("Static[%d]", i) }

func (t *Target) registration() *pb.Registration {
	return &pb.Registration{
		Service: t.Service, Instance: t.Instance, Address: t.Address, HealthName: t.HealthName,
		Labels: t.Labels, Zone: t.Zone, Version: t.Version, ServerName: t.ServerName, Static: true,
	}
}

// configureStatic registers what is configured, unless that was changed before.
func (c *Coordinator) configureStatic(ctx context.Context) error {
	done, err := c.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer done()
	return c.registerStatic(ctx)
}

// registerStatic makes the configured registrations those of the
// configuration: what it names is registered, what only an earlier one named
// goes.
func (c *Coordinator) registerStatic(ctx context.Context) error {
	all := c.static
	named := map[health.ID]bool{}
	for i := range all {
		named[all[i].ID] = true
	}
	if len(all) > 0 {
		if _, err := c.registry.Register(ctx, all); err != nil {
			return fmt.Errorf("services of the configuration: %w", err)
		}
	}
	for _, id := range c.configured() {
		if named[id] {
			continue
		}
		if err := c.registry.Deregister(ctx, id, 0); err != nil && !errors.Is(err, wire.ErrNotFound) {
			return fmt.Errorf("%s is not in the configuration any more: %w", id, err)
		}
	}
	return nil
}

// configured lists what is registered by configuration, now or before.
func (c *Coordinator) configured() []health.ID {
	var ids []health.ID
	entries, _ := c.registry.Feed().Snapshot()
	for _, e := range entries {
		if e.Spec != nil && e.Spec.Configured {
			ids = append(ids, e.ID)
		}
	}
	return ids
}
