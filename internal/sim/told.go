package sim

import "github.com/meshhealth/meshhealth/health"

// restarted forgets what the life before had published. What it had
// acknowledged must be there again, once the store is loaded.
func (o *oracle) restarted() {
	for _, r := range o.records {
		o.unclear(r, false)
	}
	o.forget()
}

// told takes what is published, in order.
func (o *oracle) told(changes []health.Change) {
	for i := range changes {
		c := &changes[i]
		if c.Revision != o.revision+1 || c.Epoch != o.w.coord.epoch {
			o.w.fail("revisions", "%s has revision %d of %d after %d of %d", c.ID, c.Revision, c.Epoch, o.revision, o.w.coord.epoch)
		}
		o.revision = c.Revision
		if c.Spec == nil {
			o.toldWhole(c)
		} else if r := o.records[c.ID]; r == nil {
			o.w.fail("unknown", "%s is published, and nobody has registered it", c.ID)
		} else {
			o.toldOne(r, c)
		}
	}
}

func (o *oracle) toldWhole(c *health.Change) {
	if old := o.wholes[c.ID]; old != nil && old.Status != c.From {
		o.w.fail("order", "%s goes on from %s, it was %s", c.ID, c.From, old.Status)
	}
	o.dirty[c.ID.Service] = true
	o.figures.service(o, c)
	if c.Removed {
		delete(o.wholes, c.ID)
		return
	}
	s := c.State
	o.wholes[c.ID] = &s
}

func (o *oracle) toldOne(r *record, c *health.Change) {
	if r.state.Revision != 0 && r.state.Status != c.From {
		o.w.fail("order", "%s goes on from %s, it was %s", c.ID, c.From, r.state.Status)
	}
	if c.Status != c.From && r.state.Revision != 0 {
		o.figures.transition(o, r, c)
	}
	if c.Judged != r.state.Judged {
		r.moves++
	}
	r.state = c.State
	o.dirty[c.ID.Service] = true
	if c.Removed {
		o.removed(r)
		return
	}
	o.touch(r)
}

// removed holds that r may go.
func (o *oracle) removed(r *record) {
	o.age(r, o.stamp())
	switch {
	case r.ended.set && r.length == 0: // deregistered
	case r.leaving() && o.due(r.renewed, r.length):
	case r.ended.set && o.due(r.ended, o.policy().DeregisterAfter) && !r.held:
	default:
		o.w.fail("removed", "%s is removed, and has not left: %+v", r.in.id, r.state)
	}
	o.unclear(r, false)
	o.enter(r, false, false)
	delete(o.records, r.in.id)
	delete(o.acked, r.in.id)
}

// ticked takes what time has brought.
func (o *oracle) ticked(changes []health.Change) { o.told(changes) }

// acknowledged is what a caller was promised.
func (o *oracle) acknowledged(c *command) {
	if c.register {
		held := o.w.coord.committed[c.in.id]
		if held == nil || held.Lease != c.lease {
			return // another was committed with it, that came later
		}
		if r := o.records[c.in.id]; r == nil || r.lease != c.lease || r.state.Revision == 0 {
			o.w.fail("acknowledged", "%s registered, and is not published: %+v", c.in.id, r.state)
		}
		o.acked[c.in.id] = c.lease
	}
}

// remembered holds that what was acknowledged has survived a restart.
func (o *oracle) remembered() {
	for id, lease := range o.acked {
		if r := o.records[id]; r == nil || r.lease != lease {
			o.w.fail("forgotten", "%s was registered and acknowledged, and is not there after a restart", id)
		}
	}
}
