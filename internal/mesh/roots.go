package mesh

import "github.com/meshhealth/meshhealth/health"

// roots finds the root of each service in trouble: the service that causes the trouble. The root
// is a dependency of the service in trouble, direct or indirect, and failed first. Roots only
// explain a status and never change it. Dependencies have no cycles.
type roots struct {
	*env
	services map[string]*serviceAggregate // the same map as aggregates.services
	// dependents has, for each service, the names of the services that depend on it.
	dependents map[string][]string
}

// find returns the root of s, or "" if there is none. It takes the dependency of s that failed
// first. If this dependency has a root itself, find returns that root. A dependency that failed
// more than RootWindow after s cannot be the root.
func (r *roots) find(s *serviceAggregate) string {
	if s.trouble.since == 0 {
		return ""
	}
	latest := s.trouble.since + moment(max(0, r.policy.RootWindow))
	var first *serviceAggregate
	for _, name := range r.policy.Services[s.state.ID.Service].DependsOn {
		d := r.services[name]
		if d == nil || d.trouble.lackingSince == 0 || d.trouble.lackingSince > latest {
			continue
		}
		if first == nil || d.failedBefore(first) {
			first = d
		}
	}
	switch {
	case first == nil:
		return ""
	case first.state.Root != "":
		return first.state.Root
	}
	return first.state.ID.Service
}

// update finds the root of s again, and then the roots of the services that depend on s.
func (r *roots) update(s *serviceAggregate) {
	if root := r.find(s); root != s.state.Root {
		r.countAffected(s.state.Root, -1)
		s.state.Root = root
		r.publish(&s.state, s.state.Status)
		r.countAffected(root, 1)
	}
	r.updateDependents(s.state.ID.Service)
}

func (r *roots) updateDependents(service string) {
	for _, name := range r.dependents[service] {
		if d := r.services[name]; d != nil && r.find(d) != d.state.Root {
			r.update(d)
		}
	}
}

// remove updates the roots of other services after s was removed from the services.
func (r *roots) remove(s *serviceAggregate) {
	r.countAffected(s.state.Root, -1)
	r.updateDependents(s.state.ID.Service)
}

// countAffected adds n to the number of services whose root is the service named root. It
// publishes this service.
func (r *roots) countAffected(root string, n int) {
	s := r.services[root]
	if s == nil {
		return
	}
	s.state.Affected += n
	r.publish(&s.state, s.state.Status)
}

// updateAll finds the roots of all services again, because the dependencies have changed. It
// publishes each service at most once: if its root, its number of affected services or its
// dependencies have changed.
func (r *roots) updateAll() {
	names := sortedNames(r.services)
	oldStates := map[string]health.State{}
	for _, name := range names {
		r.findAfterDependencies(name, oldStates)
	}
	for _, s := range r.services {
		if root := r.services[s.state.Root]; root != nil {
			root.state.Affected++
		}
	}
	for _, name := range names {
		s, was := r.services[name], oldStates[name]
		if s.state.Root != was.Root || s.state.Affected != was.Affected || s.relinked {
			s.relinked = false
			r.publish(&s.state, s.state.Status)
		}
	}
}

// findAfterDependencies finds the root of a service. Before that, it finds the roots of the
// dependencies of this service. It stores the earlier state of the service in oldStates. If
// oldStates already has the service, findAfterDependencies does nothing.
func (r *roots) findAfterDependencies(name string, oldStates map[string]health.State) {
	s := r.services[name]
	if _, done := oldStates[name]; done || s == nil {
		return
	}
	oldStates[name] = s.state
	for _, on := range r.policy.Services[name].DependsOn {
		r.findAfterDependencies(on, oldStates)
	}
	s.state.Root, s.state.Affected = r.find(s), 0
}

// setDependencies computes the field dependents from the policies of services.
func (r *roots) setDependencies(services map[string]health.ServicePolicy) {
	r.dependents = map[string][]string{}
	for _, name := range sortedNames(services) {
		for _, on := range services[name].DependsOn {
			r.dependents[on] = append(r.dependents[on], name)
		}
	}
}
