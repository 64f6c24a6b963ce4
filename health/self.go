package health

// Self publishes the status of who judges, under the empty name. It counts
// nowhere. While a guard is tripped it is DEGRADED at best.
func (m *Mesh) Self(dst []Change, status Status, cause Cause, reason string) []Change {
	s := &m.self
	if len(m.tripped) > 0 && !status.WorseThan(Degraded) {
		reason = joined(m.guarding(), reason)
		status, cause = Degraded, CauseGuarded
	}
	if s.Revision != 0 && s.Status == status && s.Cause == cause && s.Reason == reason {
		return dst
	}
	from := s.Status
	if s.Status != status {
		s.Since = m.wall
	}
	s.Status, s.Cause, s.Reason = status, cause, reason
	return m.change(dst, s, from)
}

func joined(first, second string) string {
	if second == "" {
		return first
	}
	return first + "; " + second
}
