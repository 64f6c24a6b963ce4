package core

import (
	"fmt"
	"reflect"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// register adds all registrations of the command to d, the draft of the next batch. If it returns
// an error, it has added none of them.
func (c *Command) register(d *draft) error {
	added, own := 0, 0
	for i := range c.Register {
		r := &c.Register[i]
		old := d.registration(r.ID)
		if old == nil || old.Registrant != r.By.Identity {
			own++
		}
		if old == nil {
			added++
			continue
		}
		if err := checkOwner(old.ID, old.Registrant, &r.By); err != nil {
			return fmt.Errorf("registrations[%d]: %w", i, err)
		}
		if err := checkKey(old, &r.Spec); err != nil {
			return fmt.Errorf("registrations[%d].key: %w", i, err)
		}
	}
	if err := checkQuota(d, c.Register, own); err != nil {
		return err
	}
	if d.count+added > d.maxInstances {
		return fmt.Errorf("%w: %d instances are registered; allowed: %d", domain.ErrLimit, d.count, d.maxInstances)
	}
	d.count += added
	for i := range c.Register {
		c.registerInstance(d, &c.Register[i])
	}
	return nil
}

func (c *Command) registerInstance(d *draft, r *wire.Registration) {
	spec := r.Spec
	spec.Registrant, spec.Peer = r.By.Identity, r.By.Peer
	old := d.registration(r.ID)
	if old != nil && isSameProcess(old, &spec) {
		spec.Lease, spec.RegisteredAt = old.Lease, old.RegisteredAt
	} else {
		spec.Lease, spec.RegisteredAt = d.newLease(), d.now
	}
	d.noteInstance(r.ID, true)
	reg := registrationRecord(r.ID, &spec)
	if old == nil || !reflect.DeepEqual(*old, reg) {
		d.setRegistration(r.ID, &reg)
	}
	c.Specs = append(c.Specs, &spec)
	c.events = append(c.events, mesh.Event{Kind: mesh.EventRegister, ID: r.ID, Lease: spec.Lease, Spec: &spec})
}

// checkOwner returns an error if the caller may not replace or renew an instance, because another identity has
// registered it. A registration without a registrant is from a caller without an identity, or of an earlier release.
func checkOwner(id health.ID, registrant string, by *wire.Registrant) error {
	if !by.OwnOnly || registrant == "" || registrant == by.Identity {
		return nil
	}
	return fmt.Errorf("%w: another identity has registered %s; allowed: the same identity, or the right to admin", domain.ErrNotAllowed, id)
}

// checkQuota returns an error if the caller would have too many instances. own is the number of registrations
// that are new for its identity.
func checkQuota(d *draft, all []wire.Registration, own int) error {
	if own == 0 {
		return nil
	}
	by := all[0].By // all registrations of a command have one caller
	if n := d.registeredBy(by.Identity); by.Most > 0 && n+own > by.Most {
		return fmt.Errorf("%w: %d instances are registered by the same identity; allowed: %d (instances in its rule of the access policy)", domain.ErrLimit, n, by.Most)
	}
	return nil
}

// isSameProcess reports whether the new registration spec keeps the lease of the registration old.
// The lease is kept if both come from one process, or if both are static with the same address. If
// only spec has a process key, spec may come from another process, and gets a new lease.
func isSameProcess(old *store.Registration, spec *health.Spec) bool {
	if old.Static || spec.Static {
		return old.Static == spec.Static && old.Address == spec.Address
	}
	return old.Incarnation == spec.Incarnation && keyOf(old).Equal(spec.Key)
}

// checkKey returns an error for a registration that has the incarnation of the old registration but
// another key. Everybody can read an incarnation, so only the key proves which process calls.
func checkKey(old *store.Registration, spec *health.Spec) error {
	key := keyOf(old)
	if old.Static || spec.Static || old.Incarnation != spec.Incarnation || key.IsZero() || key.Equal(spec.Key) {
		return nil
	}
	is := "another one"
	if spec.Key.IsZero() {
		is = "missing"
	}
	return fmt.Errorf("is %s; allowed: the key of %s's registration, or a new incarnation: %w", is, old.ID, domain.ErrKey)
}

// deregister adds the removal of one instance to d, the draft of the next batch. If the
// configuration lists an instance with the same name, deregister also adds the registration of the
// listed instance.
func (c *Command) deregister(d *draft) error {
	want, id := c.Deregister, c.Deregister.ID
	reg := d.registration(id)
	switch {
	case reg == nil:
		return fmt.Errorf("instance %s: %w", id, domain.ErrNotFound)
	case !reg.Static && want.Lease != 0 && reg.Lease != want.Lease:
		return fmt.Errorf("instance %s: %w", id, domain.ErrSuperseded)
	case !want.owns(reg):
		return fmt.Errorf("%w: instance %s: you have not registered it; allowed: the same identity, the lease_id of what was registered without an identity, or the right to admin", domain.ErrNotAllowed, id)
	case reg.Static:
	case want.Lease == 0 && !want.Force && reg.Lease != want.notRenewed:
		return fmt.Errorf("force: is false; allowed: true, or the lease_id of the process (instance %s: %w)", id, domain.ErrLeased)
	}
	d.deleteInstance(id)
	c.events = []mesh.Event{{Kind: mesh.EventDeregister, ID: id, Lease: reg.Lease}}
	target, configured := d.registerConfigured(id)
	if configured {
		c.events = append(c.events, target)
	}
	want.Returns = configured || !reg.Static && want.Lease == 0 && reg.Lease != want.notRenewed
	return nil
}
