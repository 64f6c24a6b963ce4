package mesh

import (
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// aggregates computes the statuses of services, zones and the mesh. It counts what each
// instance contributes. Each step publishes its changes and then starts the next step:
//
//	instance -> service           -> mesh, roots of the dependents
//	         -> service in a zone -> zone
type aggregates struct {
	*env
	services map[string]*serviceAggregate
	zones    map[string]*zoneAggregate
	mesh     zoneAggregate
	roots    roots
	// amnesty ends after the duration MeshPolicy.Amnesty, which begins at the start of the
	// coordinator. Before its end, an UNKNOWN zone or mesh is published as DEGRADED and
	// unconfirmed. So a restart of the coordinator does not stop the traffic to a whole zone.
	amnesty deadline
}

func newAggregates(e *env) aggregates {
	a := aggregates{env: e, services: map[string]*serviceAggregate{}, zones: map[string]*zoneAggregate{}}
	a.roots = roots{env: e, services: a.services}
	a.roots.setDependencies(e.policy.Services)
	if e.policy.Amnesty > 0 {
		a.amnesty.arm(e.now, e.policy.Amnesty)
	}
	a.mesh.state = a.newZoneState(health.ID{Service: health.MeshName})
	return a
}

// join adds one to the number of instances of a service. It returns the aggregate of the service,
// which it creates if the service is new.
func (a *aggregates) join(service string) *serviceAggregate {
	s := a.services[service]
	if s == nil {
		s = &serviceAggregate{policy: a.policy.Of(service, health.ServicePolicy{}), rollup: a.newRollup(health.ID{Service: service})}
		s.state.Dependencies = s.policy.Dependencies()
		a.services[service] = s
	}
	s.size++
	return s
}

func (a *aggregates) newRollup(id health.ID) rollup {
	return rollup{state: health.State{ID: id, Since: a.wall, Status: health.Unknown, Counts: &health.Counts{}}}
}

func (a *aggregates) newZoneState(id health.ID) health.State {
	return health.State{ID: id, Since: a.wall, Counts: &health.Counts{Rule: a.policy.MeshRule}}
}

// count replaces the old contribution of one instance to s, prev, with the new one, next.
// failedAt is the time of the first failure of the instance.
func (a *aggregates) count(s *serviceAggregate, prev, next contribution, failedAt time.Time) {
	if prev == next {
		return
	}
	s.add(prev, -1)
	s.add(next, 1)
	a.updateService(s, failedAt)
	a.countInZones(s, prev, next, failedAt)
}

// leave removes an instance from the service s. prev is what the instance added to the counts of
// s. If the service has no more instances, leave removes the service.
func (a *aggregates) leave(s *serviceAggregate, instance string, prev contribution, failedAt time.Time) {
	s.add(prev, -1)
	s.size--
	if s.size > 0 {
		a.updateService(s, failedAt)
		a.countInZones(s, prev, contribution{}, failedAt)
		a.declare(s, instance, nil)
		return
	}
	a.countInZones(s, prev, contribution{}, failedAt)
	a.removeService(s)
}

func (a *aggregates) removeService(s *serviceAggregate) {
	delete(a.services, s.state.ID.Service)
	s.state.Removed = true
	a.publish(&s.state, s.state.Status)
	a.mesh.add(s.inZone, -1)
	s.inZone = serviceContribution{}
	a.updateZone(&a.mesh, time.Time{})
	a.roots.remove(s)
}

// updateService evaluates s and publishes it if its status or its counts have changed. Then
// it updates the mesh and the roots of failures.
func (a *aggregates) updateService(s *serviceAggregate, failedAt time.Time) {
	from, was := s.state.Status, s.trouble
	if a.evaluate(&s.rollup, s.policy.Rule, &s.policy, failedAt) {
		s.trouble.note(a.now, s.state.Status)
		a.publish(&s.state, from)
	}
	a.countInZone(&a.mesh, &s.rollup, &s.policy)
	if s.trouble != was {
		a.roots.update(s)
	}
}

// evaluate computes the state of r. A rollup has the counts of a service, in all zones or in
// one. evaluate returns true if the status or the counts have changed.
func (a *aggregates) evaluate(r *rollup, rule health.Rule, p *health.ServicePolicy, failedAt time.Time) bool {
	status, counts := r.evaluate(rule, p)
	if status == r.state.Status && counts == *r.state.Counts {
		return false
	}
	a.setState(&r.state, status, counts, failedAt)
	return true
}

// setState sets the status and the counts of an aggregate. A change of one member has led to
// this call. failedAt is the time of the first failure of this member, or zero.
func (a *aggregates) setState(s *health.State, status health.Status, counts health.Counts, failedAt time.Time) {
	if s.Status != status {
		s.Since = a.wall
	}
	switch {
	case status == health.Serving:
		s.FirstFailure = time.Time{}
	case s.FirstFailure.IsZero():
		s.FirstFailure = failedAt
		if failedAt.IsZero() && (status == health.NotServing || status == health.Degraded) {
			s.FirstFailure = a.wall // no member failed, but a good member was removed
		}
	}
	s.Status, s.Cause, s.Counts = status, status.Cause(), &counts
	s.Unconfirmed = counts.Total() > 0 && counts.Unconfirmed == counts.Total()
}

// countInZones replaces the old contribution of an instance, prev, with the new one, next, in
// the counts of s by zone. The instance may have moved from one zone to another.
func (a *aggregates) countInZones(s *serviceAggregate, prev, next contribution, failedAt time.Time) {
	if prev.zone != next.zone {
		a.updateServiceZone(s, prev.zone, prev, contribution{}, failedAt)
		prev = contribution{}
	}
	a.updateServiceZone(s, next.zone, prev, next, failedAt)
}

// updateServiceZone replaces the contribution prev of an instance with next in the counts of s
// in one zone. It publishes the changes in this zone.
func (a *aggregates) updateServiceZone(s *serviceAggregate, zone string, prev, next contribution, failedAt time.Time) {
	if zone == "" {
		return
	}
	r := s.rollupOf(zone)
	if r == nil {
		fresh := a.newRollup(health.ZoneID(s.state.ID.Service, zone))
		r = &fresh
		s.addRollup(zone, r)
	}
	r.add(prev, -1)
	r.add(next, 1)
	if total(&r.all) == 0 {
		a.removeServiceZone(s, zone)
		return
	}
	a.evaluateServiceZone(s, zone, failedAt)
}

func (a *aggregates) evaluateServiceZone(s *serviceAggregate, zone string, failedAt time.Time) {
	r := s.rollupOf(zone)
	from := r.state.Status
	if a.evaluate(r, ruleInZone(s.policy.Rule), &s.policy, failedAt) {
		a.publish(&r.state, from)
	}
	a.countInZone(a.zone(zone), r, &s.policy)
}

// removeServiceZone removes the counts of s in a zone that has no more instances of s. If no
// other service is in the zone, removeServiceZone also removes the zone from the mesh.
func (a *aggregates) removeServiceZone(s *serviceAggregate, zone string) {
	r, z := s.rollupOf(zone), a.zone(zone)
	delete(s.zones, zone)
	r.state.Removed = true
	a.publish(&r.state, r.state.Status)
	z.add(r.inZone, -1)
	if !z.empty() {
		a.updateZone(z, time.Time{})
		return
	}
	delete(a.zones, zone)
	z.state.Removed = true
	a.publish(&z.state, z.state.Status)
}

// zone returns the aggregate of a zone, which it creates if the zone is new.
func (a *aggregates) zone(name string) *zoneAggregate {
	z := a.zones[name]
	if z == nil {
		z = &zoneAggregate{state: a.newZoneState(health.ZoneID(health.MeshName, name))}
		a.zones[name] = z
	}
	return z
}

// countInZone replaces what the service of r adds to the counts of z, which is a zone or the mesh.
// The new contribution follows from r and from the policy p of the service.
func (a *aggregates) countInZone(z *zoneAggregate, r *rollup, p *health.ServicePolicy) {
	now := r.contributionTo(p)
	if now == r.inZone {
		return
	}
	z.add(r.inZone, -1)
	z.add(now, 1)
	r.inZone = now
	a.updateZone(z, r.state.FirstFailure)
}

// updateZone computes the state of a zone or the mesh, and publishes the state if it has changed.
func (a *aggregates) updateZone(z *zoneAggregate, failedAt time.Time) {
	s := &z.state
	from := s.Status
	status, counts := z.evaluate(&a.policy)
	early := status == health.Unknown && counts.Total() > 0 && a.amnesty.armed()
	var next time.Time
	if early {
		status, next = health.Degraded, a.timeOf(a.amnesty.at)
	}
	if status == from && counts == *s.Counts && next.Equal(s.NextAt) {
		return
	}
	a.setState(s, status, counts, failedAt)
	s.NextAt, s.NextCause = next, health.CauseNone
	if early {
		s.Unconfirmed, s.Cause, s.NextCause = true, health.CauseUnconfirmed, health.CauseUnconfirmed
	}
	a.publish(s, from)
}

// declare stores the policy that an instance of s declares for its service. spec is nil if the
// instance was removed.
func (a *aggregates) declare(s *serviceAggregate, instance string, spec *health.Spec) {
	s.declared.set(instance, spec)
	a.applyPolicy(s)
}

// retune applies changed policies to all services. The caller must first have stored the policies
// in the field policy of env.
func (a *aggregates) retune() {
	a.roots.setDependencies(a.policy.Services)
	for _, name := range sortedNames(a.services) {
		s := a.services[name]
		relinked, revision := a.setDependencies(s), s.state.Revision
		a.applyPolicy(s)
		s.relinked = relinked && s.state.Revision == revision
	}
	a.roots.updateAll()
}

// setDependencies sets the dependencies in the state of s, which only the configuration can
// change. It returns true if they have changed.
func (a *aggregates) setDependencies(s *serviceAggregate) bool {
	p := a.policy.Services[s.state.ID.Service]
	now := p.Dependencies()
	if slices.Equal(now, s.state.Dependencies) {
		return false
	}
	s.state.Dependencies = now
	return true
}

// applyPolicy computes the status of s again if the policy of this service has changed.
func (a *aggregates) applyPolicy(s *serviceAggregate) {
	was := s.policy
	s.policy = a.policy.Of(s.state.ID.Service, s.declared.policy())
	same := was.Rule == s.policy.Rule && was.MinAvailable == s.policy.MinAvailable && was.Optional == s.policy.Optional &&
		was.Critical == s.policy.Critical
	if same || s.state.Revision == 0 { // s is new if its revision is 0: the method count will compute its status
		return
	}
	a.updateService(s, s.state.FirstFailure)
	for _, zone := range sortedNames(s.zones) {
		a.evaluateServiceZone(s, zone, s.zones[zone].state.FirstFailure)
	}
}

func (a *aggregates) nextDeadline() moment { return a.amnesty.next() }

// tick handles the end of the amnesty, a time after the start of the coordinator in which a zone
// is not called UNKNOWN. tick computes the statuses of the zones and of the mesh again.
func (a *aggregates) tick() (amnestyEnds bool) {
	if _, due := a.amnesty.fire(a.now); !due {
		return false
	}
	for _, zone := range sortedNames(a.zones) {
		a.updateZone(a.zones[zone], time.Time{})
	}
	a.updateZone(&a.mesh, time.Time{})
	return true
}

// sortedNames returns the keys of a map, sorted.
func sortedNames[V any](byName map[string]V) []string {
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
