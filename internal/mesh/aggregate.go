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
	// amnesty is the end of a time after the start of the coordinator. Until then a mesh or
	// zone that is UNKNOWN is published as DEGRADED and unconfirmed. So a restart of the
	// coordinator does not take the traffic away from a whole zone.
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

// join adds one instance to the size of a service. It returns the aggregate of the service,
// which it creates if the service is new.
func (a *aggregates) join(service string) *serviceAggregate {
	s := a.services[service]
	if s == nil {
		s = &serviceAggregate{policy: a.policy.Of(service, health.ServicePolicy{}), rollup: a.newRollup(health.ID{Service: service})}
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

// count replaces the contribution of one instance to s. was is the old contribution and now
// the new one. failedAt is the time of the first failure of the instance.
func (a *aggregates) count(s *serviceAggregate, was, now contribution, failedAt time.Time) {
	if was == now {
		return
	}
	s.add(was, -1)
	s.add(now, 1)
	a.updateService(s, failedAt)
	a.countInZones(s, was, now, failedAt)
}

// leave removes an instance from s. was is the contribution of the instance. If the service has no
// more instances, leave removes s.
func (a *aggregates) leave(s *serviceAggregate, instance string, was contribution, failedAt time.Time) {
	s.add(was, -1)
	s.size--
	if s.size > 0 {
		a.updateService(s, failedAt)
		a.countInZones(s, was, contribution{}, failedAt)
		a.declare(s, instance, nil)
		return
	}
	a.countInZones(s, was, contribution{}, failedAt)
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

// evaluate computes the state of a rollup, the counts of a service in all zones or in one. It
// returns true if the status or the counts have changed.
func (a *aggregates) evaluate(r *rollup, rule health.Rule, p *health.ServicePolicy, failedAt time.Time) bool {
	status, counts := r.evaluate(rule, p)
	if status == r.state.Status && counts == *r.state.Counts {
		return false
	}
	a.setState(&r.state, status, counts, failedAt)
	return true
}

// setState sets the status and the counts of an aggregate. failedAt is the time of the first
// failure of the member because of which the status is computed again.
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
			s.FirstFailure = a.wall // the reason is not a failure but the removal of a good member
		}
	}
	s.Status, s.Cause, s.Counts = status, status.Cause(), &counts
	s.Unconfirmed = counts.Total() > 0 && counts.Unconfirmed == counts.Total()
}

// countInZones replaces the contribution of an instance to the counts of s in one zone. The old
// contribution was and the new one now may be in different zones.
func (a *aggregates) countInZones(s *serviceAggregate, was, now contribution, failedAt time.Time) {
	if was.zone != now.zone {
		a.updateServiceZone(s, was.zone, was, contribution{}, failedAt)
		was = contribution{}
	}
	a.updateServiceZone(s, now.zone, was, now, failedAt)
}

// updateServiceZone replaces the contribution of an instance to s in one zone, and publishes
// the changes in this zone.
func (a *aggregates) updateServiceZone(s *serviceAggregate, zone string, was, now contribution, failedAt time.Time) {
	if zone == "" {
		return
	}
	r := s.rollupOf(zone)
	if r == nil {
		fresh := a.newRollup(health.ZoneID(s.state.ID.Service, zone))
		r = &fresh
		s.addRollup(zone, r)
	}
	r.add(was, -1)
	r.add(now, 1)
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

// removeServiceZone removes the rollup of s in a zone that has no more instances of s. If no
// other service is in the zone, it also removes the zone from the mesh.
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

// countInZone replaces the contribution of a service, whose rollup is r, to a zone or the mesh.
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

// updateZone computes a zone or the mesh again, and publishes it if it has changed.
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

// retune applies changed policies to all services. The caller must have stored the policies in
// env before.
func (a *aggregates) retune() {
	a.roots.setDependencies(a.policy.Services)
	for _, name := range sortedNames(a.services) {
		a.applyPolicy(a.services[name])
	}
	a.roots.updateAll()
}

// applyPolicy computes s again if the policy of the service has changed.
func (a *aggregates) applyPolicy(s *serviceAggregate) {
	was := s.policy
	s.policy = a.policy.Of(s.state.ID.Service, s.declared.policy())
	same := was.Rule == s.policy.Rule && was.MinAvailable == s.policy.MinAvailable && was.Optional == s.policy.Optional &&
		was.Critical == s.policy.Critical
	if same || s.state.Revision == 0 { // revision 0 means that s is new: count will compute it
		return
	}
	a.updateService(s, s.state.FirstFailure)
	for _, zone := range sortedNames(s.zones) {
		a.evaluateServiceZone(s, zone, s.zones[zone].state.FirstFailure)
	}
}

func (a *aggregates) nextDeadline() moment { return a.amnesty.next() }

// tick ends the amnesty when it is due, and computes the zones and the mesh again.
func (a *aggregates) tick() {
	if _, due := a.amnesty.fire(a.now); !due {
		return
	}
	for _, zone := range sortedNames(a.zones) {
		a.updateZone(a.zones[zone], time.Time{})
	}
	a.updateZone(&a.mesh, time.Time{})
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
