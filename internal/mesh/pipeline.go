package mesh

import (
	"slices"

	"github.com/meshhealth/meshhealth/health"
)

// This file shows the pipeline of a mesh. An event changes the layers of one instance. Then
// the layers compute the status in this order. Each layer uses the verdict of the previous
// layer:
//
//	layer     file         effect on the status                      deadlines
//	report    report.go    is the last reported status               RecoverHold
//	reach     reach.go     without answers: worse, or unconfirmed    suspicion, lease, removal
//	guard     guard.go     not made worse if many become silent      GuardMax
//	damping   damping.go   not improved while it changes often       end of the suppression
//	override  override.go  replaced by the status of an override     end of the override
//
// Each layer is a value with up to four methods:
//
//	observe       handles evidence, or the verdict of the previous layer
//	nextDeadline  returns the next deadline of the layer
//	tick          handles the deadlines that are due
//	apply         returns the verdict for the next layer
//
// The deadlines of guards and overrides concern many instances, so these deadlines are in the
// types guards and overrides. A layer uses only the layers above it in this list.
//
// The aggregates (aggregate.go) count the state of each instance for its service, its zone and
// the mesh. The roots of failures follow from the statuses of services.

// observe passes an event to the layers of an instance.
func (m *Mesh) observe(in *instance, ev *Event) {
	t := in.turn(&m.env)
	found := in.reach.observe(t, ev, &in.report, in.guard.held)
	in.notes.noteEvent(t.now, ev, found)
	if answer := ev.Kind == EventReport || ev.Kind == EventAlive; answer && ev.Proven {
		in.route.provenAt = t.now
		if ev.Report.Source != health.SourcePush {
			in.route.show(health.ProofProcess, in.route.peer)
		}
	}
	switch {
	case ev.Kind == EventConnected && sameTarget(ev.Spec, in.spec):
		in.route.connected(ev)
	case ev.Kind == EventPushed && ev.On:
		in.route.show(health.ProofPeer, ev.Peer.Unmap())
	}
	m.conclude(in, t, ev, found)
}

// conclude passes found to the report layer and the guard layer. found is what the reach layer has
// concluded from the event ev, or from the end of a deadline if ev is nil.
func (m *Mesh) conclude(in *instance, t turn, ev *Event, found finding) {
	in.report.observe(t, ev, found)
	in.guard.observe(found, &in.reach, m.guards.covering(t.spec.Zone))
	if lost := found == foundLoss || found == foundDeath; lost && !in.guard.held {
		in.reach.confirmLoss()
		in.report.lower(in.reach.state.cause(), in.reach.reason)
	}
}

// tickInstance handles the due deadlines of all layers. It returns true if the instance must be
// removed.
func (m *Mesh) tickInstance(in *instance) (gone bool) {
	t := in.turn(&m.env)
	in.report.tick(t)
	for number := range numReachDeadlines {
		found := in.reach.tick(t, number, &in.report, in.guard.held)
		m.conclude(in, t, nil, found)
		gone = gone || found == foundGone
	}
	in.damping.tick(t)
	if _, due := in.grace.fire(t.now); due {
		in.aged = true
	}
	return gone
}

// verdict returns what the four layers before the override layer have computed.
func (in *instance) verdict(t turn) verdict {
	reported := in.report.apply()
	v := in.reach.apply(t, reported, &in.report)
	v = in.guard.apply(t, v, reported, &in.reach, &in.report)
	in.proven = in.proven || v.status.Routable()
	in.noteVerdict(v)
	in.damping.observe(t, &v)
	return in.damping.apply(v, &in.report)
}

// update publishes all changes that follow from a change in the layers of an instance. First it
// updates the guards, which may release other instances. Then it updates the instance and its
// aggregates, and decides which instance is shown at its endpoint.
func (m *Mesh) update(in *instance) {
	shown := in.service.routing.place(in)
	m.updateGuards(in, in.guard.newEntry(in.spec.Zone, &in.report, &in.reach))
	m.updateState(in)
	next, hidden := in.service.routing.review(in)
	for _, other := range []*instance{shown, hidden, next} {
		if other != nil {
			m.updateState(other)
		}
	}
}

// updateState publishes the state of an instance, and the states of its aggregates, if these
// states have changed.
func (m *Mesh) updateState(in *instance) {
	t := in.turn(&m.env)
	in.guard.review(t, &in.reach, m.guards.covering(t.spec.Zone))
	v := in.verdict(t)
	in.notes.noteLayers(t.now, in)
	m.schedule.advance(in)
	judged := v.status
	v = in.override.apply(v)
	review := in.decideRoute(m.starting, v.status)
	if in.differs(v, judged) || v.nextAt > m.now && in.state.NextAt.Before(m.wall) {
		from := in.state.Status
		in.setState(&m.clock, v, judged)
		m.publish(&in.state, from)
	}
	prev := in.counted
	in.counted = in.contribution()
	m.aggregates.count(in.service, prev, in.counted, in.state.FirstFailure)
	if review {
		m.reviewHeld(in.service)
	}
}

// updateGuards sets what an instance adds to the counts of two guards: the guard of the mesh and
// the guard of its zone. Then it trips or releases these guards if the counts require this.
func (m *Mesh) updateGuards(in *instance, entry guardEntry) {
	prev := in.guard.entry
	if prev == entry {
		return
	}
	in.guard.entry = entry
	m.guards.move(prev, entry)
	m.reviewGuard(&m.guards.mesh)
	m.reviewGuard(m.guards.ofZone(prev.zone))
	m.reviewGuard(m.guards.ofZone(entry.zone))
}

// reviewGuard trips or releases a guard if its counts require this. After a release, the suspect
// instances that the guard covers get the time UnreachableAfter to answer again.
func (m *Mesh) reviewGuard(g *guard) {
	if g == nil || !m.guards.review(&m.env, g) {
		return
	}
	for _, in := range m.instances {
		if g.covers(in.spec.Zone) && (in.reach.state.suspect() || in.guard.held) {
			in.reach.grantTime(in.turn(&m.env))
		}
	}
	// updateState does not change the counts of guards, so no guard needs another review.
	for _, in := range heldBy(g, m.instances) {
		m.updateState(in)
	}
}

// heldBy returns the instances that g covers and that a guard holds, ordered by ID. Such an
// instance keeps its reported status, although it is silent.
func heldBy(g *guard, instances map[health.ID]*instance) []*instance {
	var held []*instance
	for _, in := range instances {
		if in.guard.held && g.covers(in.spec.Zone) {
			held = append(held, in)
		}
	}
	slices.SortFunc(held, compareInstances)
	return held
}

func anyInstance(*instance) bool { return true }

func compareInstances(a, b *instance) int { return a.state.ID.Compare(b.state.ID) }

// tickGuards marks the guards that have been tripped for GuardMax as expired. The instances that
// such a guard holds become UNKNOWN.
func (m *Mesh) tickGuards() {
	for _, g := range m.guards.tripped {
		if !g.expire(m.now) {
			continue
		}
		for _, in := range heldBy(g, m.instances) {
			in.guard.expired = true
			m.updateState(in)
		}
	}
}

// setOverride sets the override of a scope to o. If o is nil, setOverride clears the override of
// this scope.
func (m *Mesh) setOverride(scope health.Scope, o *health.Override) {
	m.overrides.remove(scope)
	if o != nil {
		scoped := *o
		scoped.Scope = scope
		m.overrides.set(&m.env, scoped, m.instances[scope.ID()] != nil)
	}
	if scope.Instance != "" {
		if in := m.instances[scope.ID()]; in != nil {
			in.override.forced = m.overrides.match(in.state.ID, in.spec)
			m.update(in)
		}
		return
	}
	matches := scope.Matcher()
	m.applyOverrides(func(in *instance) bool { return matches(in.state.ID, in.spec.Zone, in.spec.Labels) })
}

// applyOverrides finds the overrides of some instances again. The function concerned returns true
// for each of these instances. applyOverrides publishes the instances whose override has changed.
func (m *Mesh) applyOverrides(concerned func(*instance) bool) {
	var changed []*instance
	for id, in := range m.instances {
		if !concerned(in) {
			continue
		}
		if forced := m.overrides.match(id, in.spec); forced != in.override.forced {
			in.override.forced = forced
			changed = append(changed, in)
		}
	}
	slices.SortFunc(changed, compareInstances)
	for _, in := range changed {
		m.update(in)
	}
}
