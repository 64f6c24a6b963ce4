package health

import "container/heap"

// register adds an instance, updates one that keeps its lease, or hands the
// name over to a new lease: Starting, override kept.
func (m *Mesh) register(dst []Change, in *instance, ev *Event) []Change {
	if in != nil && in.spec.Lease == ev.Spec.Lease {
		in.spec = ev.Spec
		m.renewed(in)
		return m.settle(dst, in)
	}
	fresh := m.add(in, ev)
	m.renewed(fresh)
	return m.announce(dst, fresh)
}

// load adds an instance from a store. Nothing counts against it before the
// amnesty is over.
func (m *Mesh) load(dst []Change, in *instance, ev *Event) []Change {
	fresh := m.add(in, ev)
	l, amnesty := ev.Loaded, max(m.policy.Amnesty, 0)
	fresh.proven = l.Proven
	fresh.state.Since = l.Since
	switch {
	case l.Status == Starting:
	case l.Trusted:
		fresh.reported.status, fresh.reported.cause, fresh.reported.reason = l.Status, l.Cause, l.Reason
		fresh.reported.seen, fresh.confirmed = true, true
	default:
		fresh.reported.status, fresh.reported.cause = Unknown, CauseUnconfirmed
	}
	fresh.state.Status = fresh.reported.status
	m.renewed(fresh)
	if !fresh.spec.Static {
		fresh.deadlines[dlLease].arm(m.now, fresh.spec.TTL+amnesty)
	}
	fresh.reach.doubt = true
	fresh.deadlines[dlUnreachable].arm(m.now, m.policy.UnreachableAfter+amnesty)
	if l.Override != nil {
		m.override(fresh, l.Override)
	}
	return m.announce(dst, fresh)
}

// add puts a Starting instance in place of old, which may be nil.
func (m *Mesh) add(old *instance, ev *Event) *instance {
	in := &instance{spec: ev.Spec, heapAt: notInHeap, due: never}
	in.reported.status, in.reported.cause = Starting, CauseStarting
	in.state = State{ID: ev.ID, Status: Starting, Judged: Starting, Cause: CauseStarting, Since: m.wall, Spec: ev.Spec}
	in.deadlines[dlGrace].arm(m.now, m.policy.StartupGrace)
	if old != nil {
		in.state.Status, in.state.Since = old.state.Status, old.state.Since
		in.forced, in.deadlines[dlOverride] = old.forced, old.deadlines[dlOverride]
		in.counted, in.svc = old.counted, old.svc
		heap.Remove(&m.due, old.heapAt)
	} else {
		in.svc = m.service(ev.ID.Service)
		in.svc.size++
	}
	m.instances[ev.ID] = in
	m.schedule(in)
	return in
}

// announce publishes a new instance whatever it says.
func (m *Mesh) announce(dst []Change, in *instance) []Change {
	in.reported.fresh = true
	return m.settle(dst, in)
}

// remove takes in out, with a last change that says so.
func (m *Mesh) remove(dst []Change, in *instance) []Change {
	delete(m.instances, in.state.ID)
	heap.Remove(&m.due, in.heapAt)
	in.state.Removed = true
	dst = m.change(dst, &in.state, in.state.Status)
	return m.leave(dst, in)
}
