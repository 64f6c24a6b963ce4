package mesh

import (
	"reflect"

	"github.com/meshhealth/meshhealth/health"
)

// applyMembership handles an event that adds, updates or removes an instance. It returns false
// for all other events.
func (m *Mesh) applyMembership(in *instance, ev *Event) bool {
	switch ev.Kind {
	case EventRegister:
		m.register(in, ev)
	case EventLoad:
		m.load(in, ev)
	case EventDeregister:
		if in != nil && ev.Lease == in.spec.Lease {
			m.remove(in)
		}
	default:
		return false
	}
	return true
}

// register updates the instance if the event has the same lease. Otherwise a new instance, which
// is Starting, replaces the old one. Overrides of this name apply to the new instance too.
func (m *Mesh) register(in *instance, ev *Event) {
	if in == nil || in.spec.Lease != ev.Spec.Lease {
		in = m.add(in, ev)
		m.renew(in)
		m.announce(in)
		return
	}
	if !reflect.DeepEqual(in.spec, ev.Spec) {
		in.report.named = in.report.named && in.spec.HealthName == ev.Spec.HealthName
		in.spec = ev.Spec
		in.override.forced = m.overrides.match(ev.ID, ev.Spec)
	}
	m.renew(in)
	m.update(in)
	m.aggregates.declare(in.service, ev.ID.Instance, in.spec)
}

func (m *Mesh) renew(in *instance) {
	t := in.turn(&m.env)
	in.reach.renew(t)
	m.conclude(in, t, nil, foundNothing)
}

// load adds an instance that was in the store. The deadlines of its silence and its lease begin
// at the end of the amnesty, a time after the start of the coordinator.
func (m *Mesh) load(in *instance, ev *Event) {
	in = m.add(in, ev)
	l, amnesty := ev.Loaded, max(m.policy.Amnesty, 0)
	in.proven = l.Proven
	in.restoreRoute(l)
	in.report.restore(l)
	in.state.Status = in.report.status
	if l.Status == health.Starting || l.Trusted {
		in.state.Since = l.Since
	}
	if l.Unheard && !ev.Spec.RegisteredAt.IsZero() { // StartupGrace began before the restart
		age := max(0, min(m.wall.Sub(ev.Spec.RegisteredAt), m.policy.StartupGrace))
		in.grace.arm(m.now, m.policy.StartupGrace-age)
	}
	in.reach.restore(in.turn(&m.env), amnesty)
	m.announce(in)
}

// add adds a new instance, which is Starting. It replaces old if old is not nil.
func (m *Mesh) add(old *instance, ev *Event) *instance {
	in := &instance{spec: ev.Spec, report: newReport(), damping: newDamping(), heapAt: notScheduled, due: lastMoment}
	in.state = health.State{
		ID: ev.ID, Status: health.Starting, Judged: health.Starting, Cause: health.CauseStarting, Since: m.wall, Spec: ev.Spec,
	}
	in.reach.quietFrom = m.now
	in.grace.arm(m.now, m.policy.StartupGrace)
	m.overrides.setRegistered(&m.env, ev.ID, true)
	in.override.forced = m.overrides.match(ev.ID, ev.Spec)
	if old != nil {
		in.state.Status, in.state.Since = old.state.Status, old.state.Since
		in.damping.inherit(&old.damping)
		in.counted, in.service, in.guard.entry = old.counted, old.service, old.guard.entry
		if sameHost(old.spec, in.spec) {
			in.route.peer = old.route.peer
		}
		m.leaveRouting(old)
		m.schedule.remove(old)
	} else {
		in.service = m.aggregates.join(ev.ID.Service)
	}
	m.instances[ev.ID] = in
	m.schedule.update(in)
	return in
}

// announce publishes a new instance. It does so even if the instance replaces one with the same
// status.
func (m *Mesh) announce(in *instance) {
	in.report.changed = true
	m.update(in)
	m.aggregates.declare(in.service, in.state.ID.Instance, in.spec)
}

// remove removes an instance from the mesh and publishes the removal.
func (m *Mesh) remove(in *instance) {
	delete(m.instances, in.state.ID)
	m.overrides.setRegistered(&m.env, in.state.ID, false)
	m.schedule.remove(in)
	m.updateGuards(in, guardEntry{})
	in.state.Removed = true
	m.leaveRouting(in)
	m.publish(&in.state, in.state.Status)
	prev := in.counted
	in.counted = contribution{}
	m.aggregates.leave(in.service, in.state.ID.Instance, prev, in.state.FirstFailure)
}
