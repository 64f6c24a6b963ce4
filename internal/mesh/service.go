package mesh

import "github.com/meshhealth/meshhealth/health"

// serviceAggregate is the aggregate of all instances of a service. It also has the aggregates
// of the instances in each zone.
type serviceAggregate struct {
	rollup
	policy   health.ServicePolicy // policy that applies now
	declared declarations
	zones    map[string]*rollup // rollups by zone; nil: no instance is in a zone
	size     int                // number of registered instances
	trouble  trouble
}

// rollupOf returns the rollup of a zone, or nil.
func (s *serviceAggregate) rollupOf(zone string) *rollup { return s.zones[zone] }

// addRollup adds the rollup of a zone.
func (s *serviceAggregate) addRollup(zone string, r *rollup) {
	if s.zones == nil {
		s.zones = map[string]*rollup{}
	}
	s.zones[zone] = r
}

// trouble has the moments when a service became bad. The second one decides whether it can be
// the root of the trouble of others.
type trouble struct {
	since        moment // moment since which Status.InTrouble is true; 0: it is false
	lackingSince moment // moment since which the service is not SERVING; 0: it is SERVING
}

// note updates both moments for the status s at now.
func (t *trouble) note(now moment, s health.Status) {
	t.since = sinceWhen(t.since, now, s.InTrouble())
	t.lackingSince = sinceWhen(t.lackingSince, now, s != health.Serving)
}

// sinceWhen returns the moment since which a condition is true. since is the moment before. It
// returns 0 if holds is false.
func sinceWhen(since, now moment, holds bool) moment {
	switch {
	case !holds:
		return 0
	case since != 0:
		return since
	}
	return now
}

// failedBefore reports whether s failed before other. If both failed at the same moment, the
// service with the smaller name comes first.
func (s *serviceAggregate) failedBefore(other *serviceAggregate) bool {
	if s.trouble.lackingSince != other.trouble.lackingSince {
		return s.trouble.lackingSince < other.trouble.lackingSince
	}
	return s.state.ID.Service < other.state.ID.Service
}

// declarations has the policies that the instances of a service declare. The policy of the
// instance that registered last applies.
type declarations struct {
	byInstance map[string]*health.Spec // registrations that declare a policy, by instance
	last       string                  // instance whose policy applies; empty: there is none
}

// set stores the spec of an instance. spec is nil if the instance was removed.
func (d *declarations) set(instance string, spec *health.Spec) {
	if spec == nil || spec.Judge == nil {
		delete(d.byInstance, instance)
	} else {
		if d.byInstance == nil {
			d.byInstance = map[string]*health.Spec{}
		}
		d.byInstance[instance] = spec
	}
	switch {
	case d.last == instance:
		d.findLast()
	case d.byInstance[instance] != nil && d.isLater(instance, d.last):
		d.last = instance
	}
}

func (d *declarations) findLast() {
	d.last = ""
	for name := range d.byInstance {
		if d.isLater(name, d.last) {
			d.last = name
		}
	}
}

// isLater reports whether instance a registered after b. If both registered at the same time,
// the larger name is the later one.
func (d *declarations) isLater(a, b string) bool {
	x, y := d.byInstance[a], d.byInstance[b]
	if y == nil || !x.RegisteredAt.Equal(y.RegisteredAt) {
		return y == nil || x.RegisteredAt.After(y.RegisteredAt)
	}
	return a > b
}

// policy returns the declared policy that applies. It is zero if no instance declares one.
func (d *declarations) policy() health.ServicePolicy {
	if spec := d.byInstance[d.last]; spec != nil {
		return *spec.Judge
	}
	return health.ServicePolicy{}
}
