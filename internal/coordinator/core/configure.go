package core

import (
	"fmt"
	"slices"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// configure adds the registrations of a new configuration to d, the draft of the next batch. It
// also adds the removal of configured registrations that the new configuration does not contain.
func (c *Command) configure(d *draft) error {
	want := c.Configure
	named := map[health.ID]wire.Registration{}
	for _, reg := range want.Registrations {
		named[reg.ID] = reg
	}
	removed := d.configuredBut(named)
	added := 0
	for id := range named {
		if d.registration(id) == nil {
			added++
		}
	}
	if n := d.count + added - len(removed); n > d.maxInstances {
		return fmt.Errorf("%w: %d instances would be registered; allowed: %d", domain.ErrLimit, n, d.maxInstances)
	}
	d.stored.configured = named
	want.changed = map[health.ID]*store.Registration{}
	for _, id := range removed {
		c.events = append(c.events, mesh.Event{Kind: mesh.EventDeregister, ID: id, Lease: d.registration(id).Lease})
		d.deleteInstance(id)
		want.changed[id] = nil
	}
	d.count += added
	for i := range want.Registrations {
		c.registerInstance(d, &want.Registrations[i])
		if reg, changed := d.registrations[want.Registrations[i].ID]; changed {
			want.changed[want.Registrations[i].ID] = reg
		}
	}
	return nil
}

// configuredBut returns the sorted names of the configured registrations that the map named does
// not contain.
func (d *draft) configuredBut(named map[health.ID]wire.Registration) (ids []health.ID) {
	consider := func(id health.ID) {
		_, is := named[id]
		if reg := d.registration(id); !is && reg != nil && reg.Configured {
			ids = append(ids, id)
		}
	}
	for id := range d.stored.registrations {
		consider(id)
	}
	for id := range d.registrations {
		if _, twice := d.stored.registrations[id]; !twice {
			consider(id)
		}
	}
	slices.SortFunc(ids, health.ID.Compare)
	return ids
}
