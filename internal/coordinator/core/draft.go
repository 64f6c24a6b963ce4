package core

import (
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// draft is the next batch for the store while the core still adds changes to it. Each command is
// checked against the state that the store will have after all earlier commands of the batch.
type draft struct {
	now          time.Time
	stored       *stored
	newLease     func() uint64
	maxInstances int

	registrations map[health.ID]*store.Registration // registrations that the batch changes; a nil value means deleted
	registrants   map[string]int                    // by how many the batch changes the number of registrations of an identity
	overrides     map[health.Scope]*health.Override // overrides that the batch changes; a nil value means deleted
	actions       []store.Transition                // journal entries for overrides that are set, cleared or ended
	count         int                               // number of registered instances after the batch is committed
	events        []mesh.Event                      // events for the mesh that belong to no command
	restored      map[health.ID]*store.Registration // configured registrations that this batch adds again, because another instance of their name is gone; by name
}

// newDraft returns a draft of the next batch. The draft contains the unsaved changes of the
// configuration, which are the changes that the store does not hold yet.
func newDraft(now time.Time, s *stored, cfg *Config) *draft {
	d := &draft{
		now: now, stored: s, newLease: cfg.NewLease, maxInstances: cfg.MaxInstances,
		registrations: map[health.ID]*store.Registration{}, registrants: map[string]int{}, overrides: map[health.Scope]*health.Override{},
		restored: map[health.ID]*store.Registration{}, count: len(s.registrations),
	}
	for id, reg := range s.unsaved {
		_, held := s.registrations[id]
		switch {
		case reg == nil && held:
			d.count--
		case reg != nil && !held:
			d.count++
		}
		d.setRegistration(id, reg)
		d.noteInstance(id, reg != nil)
	}
	return d
}

// registration returns the registration that an instance will have after the commit of the draft,
// the next batch. It returns nil if no instance of this name will be registered.
func (d *draft) registration(id health.ID) *store.Registration {
	if reg, ok := d.registrations[id]; ok {
		return reg
	}
	if reg, ok := d.stored.registrations[id]; ok {
		return &reg
	}
	return nil
}

// setRegistration replaces the registration of an instance in the batch; nil removes it.
func (d *draft) setRegistration(id health.ID, reg *store.Registration) {
	if old := d.registration(id); old != nil {
		d.registrants[old.Registrant]--
	}
	if reg != nil {
		d.registrants[reg.Registrant]++
	}
	d.registrations[id] = reg
}

// registeredBy returns how many instances an identity will have registered when the draft is committed.
func (d *draft) registeredBy(identity string) int {
	return d.stored.registrants[identity] + d.registrants[identity]
}

// override returns the override that a scope will have when the draft is committed. A draft is
// the batch that is being built. The result is nil if the scope will have no override.
func (d *draft) override(scope health.Scope) *health.Override {
	if o, ok := d.overrides[scope]; ok {
		return o
	}
	return d.stored.overrides[scope]
}

// noteInstance updates the field GoneAt of an instance's override, if the instance has one, after
// the instance was registered or removed. GoneAt is the time of the removal, and zero while the
// instance is registered. An override without an end is kept for a day from GoneAt.
func (d *draft) noteInstance(id health.ID, registered bool) {
	scope := health.ScopeOf(id)
	o := d.override(scope)
	if o == nil || o.GoneAt.IsZero() == registered {
		return
	}
	moved := *o
	moved.GoneAt = time.Time{}
	if !registered {
		moved.GoneAt = d.now
	}
	d.overrides[scope] = &moved
}

// deleteInstance adds the removal of an instance to the draft of the next batch. The instance must
// be registered.
func (d *draft) deleteInstance(id health.ID) {
	d.setRegistration(id, nil)
	d.noteInstance(id, false)
	d.count--
}

// registerConfigured registers, under a new lease, the instance that the configuration lists with
// the name id. It adds the registration to the draft of the next batch, and returns the event for
// the mesh. It returns false if the configuration does not list the name.
func (d *draft) registerConfigured(id health.ID) (mesh.Event, bool) {
	want, ok := d.stored.configured[id]
	if !ok {
		return mesh.Event{}, false
	}
	if d.registration(id) == nil {
		d.count++
	}
	spec := want.Spec
	spec.Lease, spec.RegisteredAt = d.newLease(), d.now
	reg := registrationRecord(id, &spec)
	d.setRegistration(id, &reg)
	d.noteInstance(id, true)
	return mesh.Event{Kind: mesh.EventRegister, ID: id, Lease: spec.Lease, Spec: &spec}, true
}

// restoreConfigured adds to the draft of the next batch the registration that the configuration has
// for the name id, if it has one. It is called when another instance of this name was removed or
// has expired.
func (d *draft) restoreConfigured(id health.ID) {
	if ev, ok := d.registerConfigured(id); ok {
		d.events, d.restored[id] = append(d.events, ev), d.registrations[id]
	}
}

// deleteRemoved deletes the registrations of instances that the mesh has removed. removed maps each
// instance to the lease that it had. A registration with another lease is newer and stays.
func (d *draft) deleteRemoved(removed map[health.ID]uint64) {
	for id, lease := range removed {
		if reg := d.registration(id); reg != nil && reg.Lease == lease {
			d.deleteInstance(id)
			d.restoreConfigured(id)
		}
	}
}

// replaceExpired handles instances whose lease has expired. If the configuration lists the name of
// such an instance, replaceExpired registers the instance of the configuration instead. expired
// maps the name of each instance to the expired lease.
func (d *draft) replaceExpired(expired map[health.ID]uint64) {
	for id, lease := range expired {
		if reg := d.registration(id); reg != nil && reg.Lease == lease && !reg.Configured {
			d.restoreConfigured(id)
		}
	}
}

// touches reports whether the draft of the next batch changes a registration or an override that
// the command c names.
func (d *draft) touches(c *Command) bool {
	for _, scope := range c.scopes() {
		_, registration := d.registrations[scope.ID()]
		_, override := d.overrides[scope]
		if registration || override {
			return true
		}
	}
	return false
}

// appendTo adds the registrations and overrides that the draft contains to the batch b.
func (d *draft) appendTo(b *store.Batch) {
	for id, reg := range d.registrations {
		if reg == nil {
			b.DeleteRegistrations = append(b.DeleteRegistrations, id)
			continue
		}
		b.PutRegistrations = append(b.PutRegistrations, *reg)
	}
	for scope, o := range d.overrides {
		if o == nil {
			b.DeleteOverrides = append(b.DeleteOverrides, scope.String())
			continue
		}
		b.PutOverrides = append(b.PutOverrides, overrideRecord(o))
	}
}
