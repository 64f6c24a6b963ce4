package health

import "time"

// whole is the mesh: the worst of the services that have a counted instance and
// are not optional.
type whole struct {
	state State
	all   [NumStatuses]int // services by status
	// Of those, the ones with a counted instance.
	counted [NumStatuses]int
	needed  int // that are not optional
	guard   guard
}

func (w *whole) enter(t tally, n int) {
	if !t.in {
		return
	}
	w.all[t.status] += n
	if t.optional {
		return
	}
	w.needed += n
	if t.standing == countedFully {
		w.counted[t.status] += n
	}
}

// status is the worst; a service nothing is known about counts as degraded.
func (w *whole) status() Status {
	if total(&w.counted) == 0 {
		switch {
		case w.needed > 0:
			return Starting
		case total(&w.all) > 0:
			return Serving
		}
		return Unknown
	}
	counted := w.counted
	counted[Degraded] += counted[Unknown]
	counted[Unknown] = 0
	return worstOf(&counted)
}

// recountWhole enters s anew and publishes the mesh if that changed it.
func (m *Mesh) recountWhole(dst []Change, s *service) []Change {
	t := tally{in: true, status: s.state.Status, optional: s.policy.Optional}
	if s.state.Counts.Counted > 0 && !t.optional {
		t.standing = countedFully
	}
	if t == s.inWhole {
		return dst
	}
	m.whole.enter(s.inWhole, -1)
	m.whole.enter(t, 1)
	s.inWhole = t
	return m.settleWhole(dst, s.state.FirstFailure)
}

func (m *Mesh) dropFromWhole(dst []Change, s *service) []Change {
	m.whole.enter(s.inWhole, -1)
	s.inWhole = tally{}
	return m.settleWhole(dst, time.Time{})
}

func (m *Mesh) settleWhole(dst []Change, first time.Time) []Change {
	w := &m.whole
	from := w.state.Status
	counts := Counts{By: w.all, Counted: total(&w.counted)}
	w.state.take(m, w.status(), counts, first)
	return m.change(dst, &w.state, from)
}
