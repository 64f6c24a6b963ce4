package health

import (
	"slices"
	"time"
)

// Retune makes services how single services are judged, and who depends on
// whom, from now on. It returns what that changes; the policy must be valid.
func (m *Mesh) Retune(dst []Change, now time.Time, services map[string]ServicePolicy) []Change {
	m.setNow(now)
	m.policy.Services = services
	m.dependents = dependentsOf(services)
	for _, name := range sortedNames(m.services) {
		dst = m.rejudge(dst, m.services[name])
	}
	return m.blameAll(dst)
}

// rejudge judges s by what holds for it now, if that is something else.
func (m *Mesh) rejudge(dst []Change, s *service) []Change {
	was := s.policy
	s.policy = m.policy.of(s.state.ID.Service, s.declared.policy())
	same := was.Rule == s.policy.Rule && was.MinAvailable == s.policy.MinAvailable && was.Optional == s.policy.Optional
	if same || s.state.Revision == 0 { // or it will be, with its first instance
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
