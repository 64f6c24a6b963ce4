package health

import "time"

// service is its instances together, and zone by zone.
type service struct {
	group
	policy   ServicePolicy
	declared declared
	parts    map[string]*group // by zone
	size     int
	ailment  ailment
}

// service returns the one of this name, made if need be.
func (m *Mesh) service(name string) *service {
	s, ok := m.services[name]
	if !ok {
		s = &service{policy: m.policy.of(name, ServicePolicy{}), group: m.newGroup(ID{Service: name})}
		m.services[name] = s
	}
	return s
}

func (m *Mesh) newGroup(id ID) group {
	return group{state: State{ID: id, Since: m.wall, Status: Unknown, Counts: &Counts{}}}
}

// tally says how in is to be entered by what is published of it.
func (in *instance) tally() tally {
	return tally{
		in: true, status: in.state.Status, standing: in.standing(), unconfirmed: in.state.Unconfirmed,
		young: !in.aged, zone: in.spec.Zone,
	}
}

func (in *instance) standing() standing {
	switch s := in.state.Status; {
	case s == Draining || s == Maintenance:
		return uncountedYet
	case in.proven:
		return countedFully
	case in.aged && in.confirmed:
		return countedFully
	case in.aged:
		return unproven
	}
	return uncountedYet
}

// recount enters in anew, if it stands differently now, and publishes what
// its service, its zone and the mesh have become.
func (m *Mesh) recount(dst []Change, in *instance) []Change {
	was, now := in.counted, in.tally()
	if was == now {
		return dst
	}
	in.svc.enter(was, -1)
	in.svc.enter(now, 1)
	in.counted = now
	dst = m.resettle(dst, in.svc, in.state.FirstFailure)
	return m.recountZones(dst, in, was, now)
}

// leave takes in out of the counts; a service without instances goes too, as it
// was last.
func (m *Mesh) leave(dst []Change, in *instance) []Change {
	s, was := in.svc, in.counted
	in.counted = tally{}
	s.enter(was, -1)
	s.size--
	if s.size > 0 {
		dst = m.resettle(dst, s, in.state.FirstFailure)
		dst = m.recountZones(dst, in, was, tally{})
		s.declared.set(in.state.ID.Instance, nil)
		return m.rejudge(dst, s)
	}
	dst = m.recountZones(dst, in, was, tally{})
	delete(m.services, s.state.ID.Service)
	s.state.Removed = true
	dst = m.change(dst, &s.state, s.state.Status)
	dst = m.dropFromWhole(dst, &m.whole, &s.group)
	return m.endAilment(dst, s)
}

// resettle publishes s and, if that changed, the mesh, and who depends on it.
// first is the first failure of what changed it.
func (m *Mesh) resettle(dst []Change, s *service, first time.Time) []Change {
	from := s.state.Status
	if !m.regroup(&s.group, s.policy.Rule, s.policy.MinAvailable, first) {
		return m.recountWhole(dst, &m.whole, &s.group, s.policy.Optional)
	}
	was := s.ailment
	dst = m.noteAilment(dst, s, from)
	dst = m.recountWhole(dst, &m.whole, &s.group, s.policy.Optional)
	if s.ailment == was {
		return dst
	}
	return m.blame(dst, s)
}

// regroup judges g anew; it reports whether that changed anything.
func (m *Mesh) regroup(g *group, r Rule, minAvailable int, first time.Time) bool {
	status, counts := g.judge(r, minAvailable)
	if status == g.state.Status && counts == *g.state.Counts {
		return false
	}
	g.state.take(m, status, counts, first)
	return true
}

// take makes status and counts those of an aggregate. first is the first
// failure of what changed it.
func (s *State) take(m *Mesh, status Status, counts Counts, first time.Time) {
	if s.Status != status {
		s.Since = m.wall
	}
	switch {
	case status == Serving:
		s.FirstFailure = time.Time{}
	case s.FirstFailure.IsZero():
		s.FirstFailure = first
		if first.IsZero() && (status == NotServing || status == Degraded) {
			s.FirstFailure = m.wall // nothing failed just now; what was good has gone
		}
	}
	s.Status, s.Cause, s.Counts = status, causeOf(status), &counts
	s.Unconfirmed = counts.Total() > 0 && counts.Unconfirmed == counts.Total()
}
