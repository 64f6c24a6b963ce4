package sim

import "github.com/meshhealth/meshhealth/health"

// noteRestart drops all states that the coordinator published before it crashed. It keeps the
// acknowledged registrations, which must exist after the coordinator has loaded its store.
func (o *oracle) noteRestart() {
	for _, r := range o.records {
		r.setVague(false)
	}
	o.forget()
}

// notePublished checks the order of changes that the coordinator has published, and stores the
// published states.
func (o *oracle) notePublished(changes []health.Change) {
	for i := range changes {
		c := &changes[i]
		if c.Revision != o.revision+1 || c.Epoch != o.w.coord.epoch {
			o.w.fail("revisions", "%s has revision %d of %d after %d of %d", c.ID, c.Revision, c.Epoch, o.revision, o.w.coord.epoch)
		}
		o.revision = c.Revision
		if c.Spec == nil {
			o.noteAggregate(c)
		} else if r := o.records[c.ID]; r == nil {
			o.w.fail("unknown", "%s is published, and nobody has registered it", c.ID)
		} else {
			o.noteInstance(r, c)
		}
	}
}

func (o *oracle) noteAggregate(c *health.Change) {
	if old := o.aggregates[c.ID]; old != nil && old.Status != c.From {
		o.w.fail("order", "%s goes on from %s, it was %s", c.ID, c.From, old.Status)
	}
	o.dirty[c.ID.Service] = true
	o.figures.service(o, c)
	if c.Removed {
		delete(o.aggregates, c.ID)
		return
	}
	s := c.State
	o.aggregates[c.ID] = &s
}

func (o *oracle) noteInstance(r *record, c *health.Change) {
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
		o.noteRemoved(r)
		return
	}
	o.markTouched(r)
}

// noteRemoved checks that the mesh was allowed to remove an instance, and then deletes the
// record r of the instance. The mesh may remove an instance that was deregistered. If the
// instance is DRAINING or MAINTENANCE, the mesh may also remove it at the end of its lease.
// Otherwise the mesh may remove it DeregisterAfter after the end of its lease.
func (o *oracle) noteRemoved(r *record) {
	r.expireDeadlines(o.stamp())
	switch {
	case r.ended.set && r.length == 0: // a client or a person deregistered the instance
	case r.leaving() && (o.due(r.renewed, r.length) || r.mayGo != 0 && o.w.now >= r.mayGo):
	case r.ended.set && o.due(r.ended, o.policy().DeregisterAfter) && !r.held:
	default:
		o.w.fail("removed", "%s is removed, and has not left: %+v", r.in.id, r.state)
	}
	r.setVague(false)
	r.countInZones(false, false)
	o.waiting[r.in.id] = forced{r.forced, r.forcedTo}
	delete(o.records, r.in.id)
	delete(o.acked, r.in.id)
}

// noteAcknowledged checks that an acknowledged registration is stored and published. It reports
// no fault if another command about the same instance may have replaced the registration.
func (o *oracle) noteAcknowledged(cl *call) {
	id, lease := cl.in.id, cl.Specs[0].Lease
	if stored := o.w.coord.storedLease(id); stored != lease {
		if o.w.coord.isAlone(cl) {
			o.w.fail("not durable", "%s was told that it is registered with lease %x, and the store holds lease %x", id, lease, stored)
		}
		return
	}
	if r := o.records[id]; r == nil || r.lease != lease || r.state.Revision == 0 {
		o.w.fail("acknowledged", "%s registered with lease %x, and is not published", id, lease)
	}
	o.acked[id] = lease
}

// checkRemembered checks that every acknowledged registration still exists after a restart.
func (o *oracle) checkRemembered() {
	for id, lease := range o.acked {
		if r := o.records[id]; r == nil || r.lease != lease {
			o.w.fail("forgotten", "%s was registered and acknowledged, and is not there after a restart", id)
		}
	}
}
