package mesh

import "github.com/meshhealth/meshhealth/health"

// serviceAggregate counts all instances of a service, and separately its instances in each zone.
type serviceAggregate struct {
	rollup
	policy   health.ServicePolicy // policy that applies to the service now
	declared declarations
	zones    map[string]*rollup // counts by zone; nil if no instance is in a zone
	size     int                // number of registered instances
	trouble  trouble
	relinked bool // true if the dependencies have changed and this was not published yet
	routing  routing
}

// rollupOf returns the counts of the service in one zone, or nil if it has no instance there.
func (s *serviceAggregate) rollupOf(zone string) *rollup { return s.zones[zone] }

// addRollup stores the counts of the service in one zone.
func (s *serviceAggregate) addRollup(zone string, r *rollup) {
	if s.zones == nil {
		s.zones = map[string]*rollup{}
	}
	s.zones[zone] = r
}

// trouble has the moments since which a service is in trouble. The field lackingSince decides
// whether the service can be the root (the cause of the trouble) of other services.
type trouble struct {
	since        moment // moment since which Status.InTrouble is true; 0 if it is false
	lackingSince moment // moment since which the service is not SERVING; 0 if it is SERVING
}

// note updates both moments after the service has got the status s. The change came at the moment
// now.
func (t *trouble) note(now moment, s health.Status) {
	t.since = sinceWhen(t.since, now, s.InTrouble())
	t.lackingSince = sinceWhen(t.lackingSince, now, s != health.Serving)
}

// sinceWhen returns the moment since which a condition is true, or 0 if the condition is false now.
// since is the result of the previous call.
func sinceWhen(since, now moment, isTrue bool) moment {
	switch {
	case !isTrue:
		return 0
	case since != 0:
		return since
	}
	return now
}

// failedBefore reports whether s failed before other. If both failed at the same moment, the
// order of their names decides.
func (s *serviceAggregate) failedBefore(other *serviceAggregate) bool {
	if s.trouble.lackingSince != other.trouble.lackingSince {
		return s.trouble.lackingSince < other.trouble.lackingSince
	}
	return s.state.ID.Service < other.state.ID.Service
}

// declarations has the policies that the instances of a service have sent. The policy of the
// instance that registered last applies.
type declarations struct {
	byInstance map[string]*health.Spec // registrations that contain a policy, by instance
	last       string                  // instance whose policy applies; empty if no instance has sent one
}

// set stores the registration of an instance. spec is nil if the instance was removed.
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

// isLater reports whether instance a registered after instance b. If both registered at the same
// time, the order of their names decides.
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
