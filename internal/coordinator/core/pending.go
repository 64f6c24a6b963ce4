package core

import (
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// records holds the changes of the mesh that the store does not hold yet. It keeps at most one
// status of each instance, so the number of instances bounds the statuses. Only the transitions
// need a bound of their own.
type records struct {
	transitions []store.Transition
	lost        uint64 // number of transitions that were dropped since the last record that contains such a number
	statuses    map[health.ID]store.Status
	removed     map[health.ID]uint64 // numbers of the leases of the instances that the mesh has removed, by instance
	expired     map[health.ID]uint64 // numbers of the leases that have expired, by instance
	ended       []health.Override    // overrides that the mesh has ended
}

func newRecords() records {
	return records{statuses: map[health.ID]store.Status{}, removed: map[health.ID]uint64{}, expired: map[health.ID]uint64{}}
}

// pending holds the records that wait for the next batch. The total size of the waiting
// transitions is bounded.
type pending struct {
	records
	maxBytes int    // largest allowed value of the field bytes
	bytes    int    // total size of the waiting transitions, in bytes
	lostEver uint64 // number of transitions that were dropped since the start of the coordinator
	hasNew   bool   // true if records were added since the last call of checkNew
}

func newPending(maxBytes int) pending { return pending{records: newRecords(), maxBytes: maxBytes} }

// checkNew reports whether records were added since the last call of checkNew.
func (p *pending) checkNew() bool {
	hasNew := p.hasNew
	p.hasNew = false
	return hasNew
}

// addChanges adds the records that describe changes of the mesh.
func (p *pending) addChanges(changes []health.Change) {
	for i := range changes {
		c := &changes[i]
		if c.Spec != nil {
			p.addInstance(c)
		}
		if c.Recorded() {
			p.addTransition(transitionRecord(c))
		}
	}
	p.hasNew = p.hasNew || len(changes) > 0
}

func (p *pending) addInstance(c *health.Change) {
	if c.Removed {
		p.removed[c.ID] = c.Spec.Lease
		delete(p.statuses, c.ID)
		return
	}
	if c.Expired {
		p.expired[c.ID] = c.Spec.Lease
	}
	p.statuses[c.ID] = statusRecord(c)
}

// addTransition adds a transition, and drops the oldest transitions until the rest fits
// into maxBytes.
func (p *pending) addTransition(t store.Transition) {
	p.transitions = append(p.transitions, t)
	p.bytes += sizeOfTransition(&t)
	n := 0
	for ; p.bytes > p.maxBytes; n++ {
		p.bytes -= sizeOfTransition(&p.transitions[n])
	}
	p.transitions = p.transitions[n:]
	p.lost += uint64(n)
	p.lostEver += uint64(n)
}

func sizeOfTransition(t *store.Transition) int {
	return 160 + len(t.ID.Service) + len(t.ID.Instance) + len(t.Scope) + len(t.Reason)
}

func (p *pending) addEnded(overrides []health.Override) {
	p.ended = append(p.ended, overrides...)
	p.hasNew = p.hasNew || len(overrides) > 0
}

// takeRecords removes all records from p and returns them.
func (p *pending) takeRecords() records {
	r := p.records
	p.records, p.bytes = newRecords(), 0
	return r
}

// returnRecords puts back records that were taken and not stored. They are older than all records
// in p. The expired leases in r are not put back: the registrations that replace them are already
// kept as unsaved changes.
func (p *pending) returnRecords(r *records) {
	newer := p.transitions
	p.transitions, p.bytes = nil, 0
	p.lost += r.lost
	p.ended = append(r.ended, p.ended...)
	for _, t := range r.transitions {
		p.addTransition(t)
	}
	for _, t := range newer {
		p.addTransition(t)
	}
	for id, s := range r.statuses {
		if _, newer := p.statuses[id]; !newer {
			p.statuses[id] = s
		}
	}
	for id, lease := range r.removed {
		if _, newer := p.removed[id]; !newer {
			p.removed[id] = lease
		}
	}
}
