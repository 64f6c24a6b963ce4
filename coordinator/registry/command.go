package registry

import (
	"fmt"
	"reflect"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// command is what has to be durable before it is answered: exactly one of its
// parts is set.
type command struct {
	register   []wire.Registration
	deregister *deregistration
	override   *overriding

	specs  []*health.Spec // the answer to register
	events []health.Event // for the owner, once durable
	err    error          // it was refused
	done   chan error
}

type deregistration struct {
	id    health.ID
	lease uint64
}

type overriding struct {
	scope    health.Scope
	override *health.Override // nil: it is cleared
	by       string           // who clears it
	reason   string
}

// draft is a commit in the making. Commands of one commit see what those
// before them did.
type draft struct {
	s     *scribe
	regs  map[health.ID]*store.Registration // nil: deleted
	overs map[health.ID]*health.Override    // nil: deleted
	acts  []store.Transition
	count int
	batch *store.Batch
}

func newDraft(s *scribe, b *store.Batch) *draft {
	d := &draft{s: s, regs: map[health.ID]*store.Registration{}, overs: map[health.ID]*health.Override{}, batch: b, count: len(s.committed)}
	for _, id := range b.DeleteRegistrations {
		d.regs[id] = nil
		d.free(id)
		d.count--
	}
	return d
}

func (d *draft) current(id health.ID) *store.Registration {
	if reg, ok := d.regs[id]; ok {
		return reg
	}
	if reg, ok := d.s.committed[id]; ok {
		return &reg
	}
	return nil
}

// finish turns the draft into the batch's records.
func (d *draft) finish() {
	d.batch.DeleteRegistrations = nil
	for id, reg := range d.regs {
		if reg == nil {
			d.batch.DeleteRegistrations = append(d.batch.DeleteRegistrations, id)
			continue
		}
		d.batch.PutRegistrations = append(d.batch.PutRegistrations, *reg)
	}
	d.finishOverrides()
}

// draft adds the command to a commit, or says why it cannot be.
func (c *command) draft(d *draft) error {
	switch {
	case c.deregister != nil:
		return c.draftDeregister(d)
	case c.override != nil:
		return c.draftOverride(d)
	}
	return c.draftRegister(d)
}

func (c *command) draftRegister(d *draft) error {
	added := 0
	for i := range c.register {
		if d.current(c.register[i].ID) == nil {
			added++
		}
	}
	if d.count+added > d.s.maxInstances {
		return fmt.Errorf("%w: %d instances are registered, at most %d may be", wire.ErrLimit, d.count, d.s.maxInstances)
	}
	d.count += added
	for i := range c.register {
		c.registerOne(d, &c.register[i])
	}
	return nil
}

func (c *command) registerOne(d *draft, r *wire.Registration) {
	spec := r.Spec
	old := d.current(r.ID)
	if old != nil && continues(old, &spec) {
		spec.Lease, spec.RegisteredAt = old.Lease, old.RegisteredAt
	} else {
		spec.Lease, spec.RegisteredAt = d.s.newLease(), time.Now()
	}
	reg := recordOf(r.ID, &spec)
	if old == nil || !reflect.DeepEqual(*old, reg) {
		d.regs[r.ID] = &reg
	}
	c.specs = append(c.specs, &spec)
	c.events = append(c.events, health.Event{Kind: health.EventRegister, ID: r.ID, Lease: spec.Lease, Spec: &spec})
}

// continues reports whether a registration is the same process again, or the
// same static entry, rather than one that takes over.
func continues(old *store.Registration, spec *health.Spec) bool {
	if old.Static || spec.Static {
		return old.Static == spec.Static && old.Address == spec.Address
	}
	return old.Incarnation == spec.Incarnation
}

func (c *command) draftDeregister(d *draft) error {
	id := c.deregister.id
	switch reg := d.current(id); {
	case reg == nil:
		return fmt.Errorf("instance %s: %w", id, wire.ErrNotFound)
	case reg.Static:
		c.deregister.lease = reg.Lease
	case c.deregister.lease == 0:
		return fmt.Errorf("instance %s: %w", id, wire.ErrNotStatic)
	case reg.Lease != c.deregister.lease:
		return fmt.Errorf("instance %s: %w", id, wire.ErrSuperseded)
	}
	d.regs[id] = nil
	d.free(id)
	d.count--
	c.events = []health.Event{{Kind: health.EventDeregister, ID: id, Lease: c.deregister.lease}}
	return nil
}

// names adds the instances the command is about.
func (c *command) names(ids map[health.ID]bool) {
	for i := range c.register {
		ids[c.register[i].ID] = true
	}
	if c.deregister != nil {
		ids[c.deregister.id] = true
	}
	if c.override != nil {
		ids[c.override.scope.Key()] = true
	}
}
