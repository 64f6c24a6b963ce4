package health

import "time"

// standing says whether an instance counts in its service's judgement.
type standing uint8

const (
	uncountedYet standing = iota // too new, or on its way out
	unproven                     // old enough, but nothing was ever heard of it
	countedFully
)

// tally is how one instance is entered in its service's counts.
type tally struct {
	in          bool
	optional    bool // a service only
	young       bool // an instance only
	status      Status
	standing    standing
	unconfirmed bool
}

// service is the counts of its instances and what was last published.
type service struct {
	state  State
	policy ServicePolicy
	all    [NumStatuses]int
	// Those that count, and those that would only count if no other does: an
	// address nobody ever answered at must not outvote instances that live.
	counted, unproven [NumStatuses]int
	unconfirmed       int
	young             int // that have registered just now
	size              int
	inWhole           tally
}

// service returns the one of this name, made if need be.
func (m *Mesh) service(name string) *service {
	s, ok := m.services[name]
	if !ok {
		s = &service{
			policy: m.policy.of(name),
			state:  State{ID: ID{Service: name}, Since: m.wall, Status: Unknown, Counts: &Counts{}},
		}
		m.services[name] = s
	}
	return s
}

// tally says how in is to be entered by what is published of it.
func (in *instance) tally() tally {
	return tally{in: true, status: in.state.Status, standing: in.standing(), unconfirmed: in.state.Unconfirmed, young: !in.aged}
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

// enter adds (n = 1) or takes back (n = -1) an instance.
func (s *service) enter(t tally, n int) {
	if !t.in {
		return
	}
	s.all[t.status] += n
	switch t.standing {
	case countedFully:
		s.counted[t.status] += n
	case unproven:
		s.unproven[t.status] += n
	}
	if t.unconfirmed {
		s.unconfirmed += n
	}
	if t.young {
		s.young += n
	}
}

// judging returns the counts the rule looks at.
func (s *service) judging() *[NumStatuses]int {
	if total(&s.counted) == 0 {
		return &s.unproven
	}
	return &s.counted
}

// recount enters in anew, if it stands differently now, and publishes what
// its service and the mesh have become.
func (m *Mesh) recount(dst []Change, in *instance) []Change {
	t := in.tally()
	if t == in.counted {
		return dst
	}
	in.svc.enter(in.counted, -1)
	in.svc.enter(t, 1)
	in.counted = t
	return m.resettle(dst, in.svc, in)
}

// leave takes in out of the counts; a service without instances goes too, as it
// was last.
func (m *Mesh) leave(dst []Change, in *instance) []Change {
	s := in.svc
	s.enter(in.counted, -1)
	s.size--
	if s.size > 0 {
		return m.resettle(dst, s, in)
	}
	delete(m.services, s.state.ID.Service)
	s.state.Removed = true
	dst = m.change(dst, &s.state, s.state.Status)
	return m.dropFromWhole(dst, s)
}

// resettle publishes s and, if that changed, the mesh.
func (m *Mesh) resettle(dst []Change, s *service, by *instance) []Change {
	status := s.policy.Rule.Aggregate(&s.all, s.judging(), s.policy.MinAvailable, s.young > 0)
	counts := Counts{By: s.all, Counted: total(s.judging()), Unconfirmed: s.unconfirmed}
	from := s.state.Status
	if status == from && counts == *s.state.Counts {
		return dst
	}
	s.state.take(m, status, counts, by.state.FirstFailure)
	dst = m.change(dst, &s.state, from)
	return m.recountWhole(dst, s)
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
