package health

import (
	"slices"
	"time"
)

// declared is how the instances of a service want it to be judged: the latest
// registration that says so.
type declared struct {
	policy ServicePolicy
	at     time.Time
	by     string
}

// declare takes what an instance says of its service. Of two that registered at
// once the one with the later name goes first.
func (m *Mesh) declare(dst []Change, in *instance) []Change {
	d, p := &in.svc.declared, in.spec.Judge
	if p == nil || in.spec.RegisteredAt.Before(d.at) ||
		in.spec.RegisteredAt.Equal(d.at) && in.state.ID.Instance < d.by {
		return dst
	}
	*d = declared{policy: *p, at: in.spec.RegisteredAt, by: in.state.ID.Instance}
	return m.rejudge(dst, in.svc)
}

// Retune makes services how single services are judged, and who depends on
// whom, from now on. It returns what that changes; the policy must be valid.
func (m *Mesh) Retune(dst []Change, now time.Time, services map[string]ServicePolicy) []Change {
	m.setNow(now)
	m.policy.Services = services
	m.dependents = dependentsOf(services)
	for _, name := range sortedNames(m.services) {
		dst = m.rejudge(dst, m.services[name])
	}
	for _, name := range sortedNames(m.services) {
		dst = m.blame(dst, m.services[name])
	}
	return dst
}

// rejudge judges s by what holds for it now.
func (m *Mesh) rejudge(dst []Change, s *service) []Change {
	s.policy = m.policy.of(s.state.ID.Service, s.declared.policy)
	if s.size == 0 || s.state.Revision == 0 { // it will be, with its first instance
		return dst
	}
	dst = m.resettle(dst, s, s.state.FirstFailure)
	for _, zone := range sortedNames(s.parts) {
		dst = m.resettlePart(dst, s, zone, s.parts[zone].state.FirstFailure)
	}
	return dst
}

func sortedNames[V any](by map[string]V) []string {
	names := make([]string, 0, len(by))
	for name := range by {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
