package health

import "time"

// whole is the mesh, or a zone of it: the worst of the services that have a
// counted instance there and are not optional.
type whole struct {
	state State
	all   [NumStatuses]int // services by status
	// Of those, the ones that are not optional, and of these the ones with a
	// counted instance.
	needed, counted [NumStatuses]int
	guard           guard
}

func (w *whole) enter(t tally, n int) {
	if !t.in {
		return
	}
	w.all[t.status] += n
	if t.optional {
		return
	}
	w.needed[t.status] += n
	if t.standing == countedFully {
		w.counted[t.status] += n
	}
}

// status is the worst; a service nothing is known about counts as degraded.
func (w *whole) status() Status {
	if total(&w.counted) == 0 {
		switch {
		case total(&w.needed) > 0:
			return uncounted(&w.needed)
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

// recountWhole enters g anew and publishes the whole if that changed it.
func (m *Mesh) recountWhole(dst []Change, w *whole, g *group, optional bool) []Change {
	t := g.tally(optional)
	if t == g.inWhole {
		return dst
	}
	w.enter(g.inWhole, -1)
	w.enter(t, 1)
	g.inWhole = t
	return m.settleWhole(dst, w, g.state.FirstFailure)
}

func (m *Mesh) dropFromWhole(dst []Change, w *whole, g *group) []Change {
	w.enter(g.inWhole, -1)
	g.inWhole = tally{}
	return m.settleWhole(dst, w, time.Time{})
}

func (m *Mesh) settleWhole(dst []Change, w *whole, first time.Time) []Change {
	from := w.state.Status
	counts := Counts{By: w.all, Counted: total(&w.counted)}
	if status := w.status(); status != from || counts != *w.state.Counts {
		w.state.take(m, status, counts, first)
		dst = m.change(dst, &w.state, from)
	}
	return dst
}
