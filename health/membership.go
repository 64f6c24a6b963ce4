package health

import (
	"container/heap"
	"reflect"
)

// register adds an instance, updates one that keeps its lease, or hands the
// name over to a new lease: Starting, override kept.
func (m *Mesh) register(dst []Change, in *instance, ev *Event) []Change {
	if in != nil && in.spec.Lease == ev.Spec.Lease {
		if !reflect.DeepEqual(in.spec, ev.Spec) {
			in.spec = ev.Spec
			in.forced = m.overrides.of(ev.ID, ev.Spec)
		}
		m.renewed(in)
		return m.declare(m.settle(dst, in), in)
	}
	fresh := m.add(in, ev)
	m.renewed(fresh)
	return m.declare(m.announce(dst, fresh), fresh)
}

// load adds an instance from a store. Nothing counts against it before the
// amnesty is over.
func (m *Mesh) load(dst []Change, in *instance, ev *Event) []Change {
	fresh := m.add(in, ev)
	l, amnesty := ev.Loaded, max(m.policy.Amnesty, 0)
	fresh.proven = l.Proven
	fresh.restore(l)
	m.renewed(fresh)
	fresh.fresh.disarm() // nothing came from the instance itself
	if !fresh.spec.Static {
		fresh.deadlines[dlLease].arm(m.now, fresh.spec.TTL+amnesty)
	}
	fresh.reach.doubt = true
	fresh.deadlines[dlUnreachable].arm(m.now, m.policy.UnreachableAfter+amnesty)
	fresh.deadlines[dlSilent].arm(m.now, m.policy.UnreachableAfter/2+amnesty)
	return m.declare(m.announce(dst, fresh), fresh)
}

// restore takes over what was stored, if that is young enough.
func (in *instance) restore(l *Loaded) {
	r := &in.reported
	switch {
	case l.Status == Starting:
		in.state.Since = l.Since
	case l.Trusted:
		r.status, r.cause, r.reason, r.seen = l.Status, l.Cause, l.Reason, true
		if r.cause == CauseNone || r.cause.hold() {
			r.cause = causeOf(r.status)
		}
		in.confirmed, in.state.Since = true, l.Since
		if l.Status != Serving {
			r.firstFailure = l.Since
		}
	default:
		r.status, r.cause = Unknown, CauseUnconfirmed
	}
	in.state.Status = r.status
}

// hold reports whether the cause is that something was held: nothing is by who
// has just started.
func (c Cause) hold() bool { return c == CauseGuarded || c == CauseFlapping }

// add puts a Starting instance in place of old, which may be nil.
func (m *Mesh) add(old *instance, ev *Event) *instance {
	in := &instance{spec: ev.Spec, heapAt: notInHeap, due: never}
	in.reported.status, in.reported.cause = Starting, CauseStarting
	in.damping.seen = Starting
	in.state = State{ID: ev.ID, Status: Starting, Judged: Starting, Cause: CauseStarting, Since: m.wall, Spec: ev.Spec}
	in.deadlines[dlGrace].arm(m.now, m.policy.StartupGrace)
	in.forced = m.overrides.of(ev.ID, ev.Spec)
	if old != nil {
		in.state.Status, in.state.Since = old.state.Status, old.state.Since
		in.damping, in.deadlines[dlDamp] = old.damping, old.deadlines[dlDamp]
		in.counted, in.svc, in.watchedAs = old.counted, old.svc, old.watchedAs
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
	m.overrides.drop(ScopeOf(in.state.ID))
	heap.Remove(&m.due, in.heapAt)
	dst = m.regardAs(dst, in, watched{})
	in.state.Removed = true
	dst = m.change(dst, &in.state, in.state.Status)
	return m.leave(dst, in)
}
