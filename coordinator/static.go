package coordinator

import (
	"context"
	"fmt"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// static returns the checked registrations of the configured targets.
func (c *Config) static() ([]wire.Registration, error) {
	var all []wire.Registration
	for start := 0; start < len(c.Static); start += wire.MaxRegistrations {
		part := c.Static[start:min(start+wire.MaxRegistrations, len(c.Static))]
		req := &pb.RegisterRequest{}
		for i := range part {
			req.Registrations = append(req.Registrations, part[i].registration())
		}
		regs, err := wire.Registrations(req)
		if err != nil {
			return nil, err
		}
		for i := range regs {
			regs[i].Spec.Configured = true
		}
		all = append(all, regs...)
	}
	return all, nil
}

func (t *Target) registration() *pb.Registration {
	return &pb.Registration{
		Service: t.Service, Instance: t.Instance, Address: t.Address, HealthName: t.HealthName,
		Labels: t.Labels, Zone: t.Zone, Version: t.Version, ServerName: t.ServerName, Static: true,
	}
}

// registerStatic makes the configured registrations those of the
// configuration: what it names is registered, what only an earlier one named
// goes.
func (c *Coordinator) registerStatic(ctx context.Context) error {
	named := map[health.ID]bool{}
	for i := range c.static {
		named[c.static[i].ID] = true
	}
	if len(c.static) > 0 {
		if _, err := c.registry.Register(ctx, c.static); err != nil && ctx.Err() == nil {
			return fmt.Errorf("services of the configuration: %w", err)
		}
	}
	for _, id := range c.configured() {
		if named[id] {
			continue
		}
		if err := c.registry.Deregister(ctx, id, 0); err != nil && ctx.Err() == nil {
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
