package health

import (
	"fmt"
	"slices"
	"time"
)

// guard is layer 3: when half of a zone, or of the mesh, seems to vanish at
// once, it is likelier that we cannot see than that all of them are dead. While
// it is tripped, what layer 2 would lower by evidence of the path is held. What
// an instance says of itself, and a refusal, pass it.
//
// There is none per service: that the rest of the mesh answers is the proof that
// a dead service is dead.
type guard struct {
	zone string // empty: the whole mesh
	// known are the instances that could be confirmed, doubted those of them
	// that cannot be reached now. One that was lowered is in neither.
	known, doubted int
	tripped, faded bool
	since          time.Time
	limit          deadline // GuardMax
}

// The guard trips at half of at least GuardMin, and lets go below a third: that
// of half of the mesh the first to come back do not give up the rest.
func (g *guard) trips(least int) bool { return g.known >= least && g.doubted*2 >= g.known }
func (g *guard) lets() bool           { return g.doubted == 0 || g.doubted*3 < g.known }

// watched is how one instance is entered in its guards.
type watched struct {
	in, doubted bool
	zone        string
}

// hold is what a guard does to one instance.
type hold struct {
	on    bool
	faded bool // held for so long that its status is no longer believed
}

// byPath reports whether the instance was given up for its silence.
func (r *reach) byPath() bool { return r.lost == CauseUnreachable || r.lost == CauseLeaseExpired }

// over keeps what was said, in place of what layer 2 makes of it. What was not
// understood is not believed for having vanished.
func (h hold) over(in *instance, said verdict) verdict {
	said.unconfirmed = true
	if in.reach.config != CauseNone {
		said.status = Unknown
	}
	if said.status != NotServing {
		said.cause, said.reason = CauseGuarded, in.reach.reason
		if h.faded {
			said.status = Unknown
		}
	}
	if d := &in.deadlines[dlUnreachable]; d.armed() {
		said.nextAt, said.nextCause = d.at, in.reach.lost
	}
	return said
}

func (in *instance) watched() watched {
	lost := in.reach.byPath()
	if !in.confirmed || in.leaving() || lost && !in.hold.on {
		return watched{}
	}
	return watched{in: true, zone: in.spec.Zone, doubted: lost || in.reach.unasked || in.reach.doubt && in.reach.silent}
}

// regard enters in anew in its guards.
func (m *Mesh) regard(dst []Change, in *instance) []Change {
	return m.regardAs(dst, in, in.watched())
}

func (m *Mesh) regardAs(dst []Change, in *instance, now watched) []Change {
	was := in.watchedAs
	if was == now {
		return dst
	}
	in.watchedAs = now
	m.enterGuards(was, -1)
	m.enterGuards(now, 1)
	dst = m.review(dst, &m.whole.guard)
	dst = m.reviewZone(dst, was.zone)
	return m.reviewZone(dst, now.zone)
}

func (m *Mesh) enterGuards(w watched, n int) {
	if !w.in {
		return
	}
	m.whole.guard.enter(w, n)
	if w.zone == "" {
		return
	}
	m.zone(w.zone).guard.enter(w, n)
}

func (g *guard) enter(w watched, n int) {
	g.known += n
	if w.doubted {
		g.doubted += n
	}
}

func (m *Mesh) reviewZone(dst []Change, zone string) []Change {
	z := m.zones[zone]
	if z == nil {
		return dst
	}
	m.forget(z)
	return m.review(dst, &z.guard)
}

// review trips a guard, or lets it go.
func (m *Mesh) review(dst []Change, g *guard) []Change {
	switch {
	case !g.tripped && m.policy.GuardMin > 0 && g.trips(m.policy.GuardMin):
		g.tripped, g.since = true, m.wall
		g.limit.arm(m.now, m.policy.GuardMax)
		m.tripped = append(m.tripped, g)
	case g.tripped && g.lets():
		g.tripped, g.faded = false, false
		g.limit.disarm()
		m.tripped = slices.DeleteFunc(m.tripped, func(t *guard) bool { return t == g })
		m.spare(g)
		for _, in := range m.heldBy(g) {
			dst = m.settle(dst, in)
		}
	}
	return dst
}

// unhold gives in, if no guard is over it any more, UnreachableAfter to be heard:
// where the network is back, not everybody is at once. If another still is, and
// for so long that what it holds is not believed, that is so of in too.
func (m *Mesh) unhold(in *instance) {
	if !in.hold.on {
		return
	}
	if g := m.guardOf(in); g != nil {
		in.hold.faded = in.hold.faded || g.faded
	} else if d := &in.deadlines[dlUnreachable]; !d.armed() {
		d.arm(m.now, m.policy.UnreachableAfter)
	}
}

// spare gives as much to whatever else would end sooner: who is in doubt for a
// little less than those that are held, and leases that could not be renewed.
func (m *Mesh) spare(g *guard) {
	for _, in := range m.instances {
		if !in.reach.doubt && !in.hold.on || !g.over(in) {
			continue
		}
		for _, kind := range []deadlineKind{dlUnreachable, dlLease} {
			if d := &in.deadlines[kind]; d.armed() && d.at < m.now+moment(m.policy.UnreachableAfter) {
				d.arm(m.now, m.policy.UnreachableAfter)
			}
		}
	}
}

// over reports whether in is one that g looks at.
func (g *guard) over(in *instance) bool { return g.zone == "" || g.zone == in.spec.Zone }

// heldBy returns what g may hold, in order.
func (m *Mesh) heldBy(g *guard) []*instance {
	var held []*instance
	for _, in := range m.instances {
		if in.hold.on && g.over(in) {
			held = append(held, in)
		}
	}
	slices.SortFunc(held, func(a, b *instance) int { return a.state.ID.Compare(b.state.ID) })
	return held
}

// guardOf returns a tripped guard over in, that of the mesh first, or nil.
func (m *Mesh) guardOf(in *instance) *guard {
	if m.whole.guard.tripped {
		return &m.whole.guard
	}
	if z := m.zones[in.spec.Zone]; z != nil && z.guard.tripped {
		return &z.guard
	}
	return nil
}

// holds says what the guards do about in, which has been given up.
func (m *Mesh) holds(in *instance) hold {
	g := m.guardOf(in)
	if g == nil || !in.reach.byPath() {
		return hold{}
	}
	return hold{on: true, faded: in.hold.faded || g.faded}
}

// tickGuards ends the belief in what guards have held for GuardMax.
func (m *Mesh) tickGuards(dst []Change) []Change {
	for _, g := range m.tripped {
		if g.limit.due(m.now) {
			g.limit.disarm()
			g.faded = true
			for _, in := range m.heldBy(g) {
				in.hold.faded = true
				dst = m.settle(dst, in)
			}
		}
	}
	return dst
}

// nextGuard returns when a guard next has something to do.
func (m *Mesh) nextGuard() moment {
	next := never
	for _, g := range m.tripped {
		if g.limit.armed() {
			next = min(next, g.limit.at)
		}
	}
	return next
}

// Guard is a mass-failure guard that is tripped.
type Guard struct {
	Zone  string    // empty: the whole mesh
	Since time.Time // when it tripped
	// Known is how many instances it looks at, Doubted how many of them cannot
	// be reached.
	Known, Doubted int
	// Faded: it is tripped for longer than GuardMax, and what it holds is
	// UNKNOWN.
	Faded bool
}

// Guards returns the guards that are tripped, in the order they did.
func (m *Mesh) Guards() []Guard {
	var all []Guard
	for _, g := range m.tripped {
		all = append(all, Guard{Zone: g.zone, Since: g.since, Known: g.known, Doubted: g.doubted, Faded: g.faded})
	}
	return all
}

// guarding says in words which guards are tripped; empty if none is.
func (m *Mesh) guarding() string {
	const then = " cannot be reached; what that would lower is held"
	switch n := len(m.tripped); {
	case n == 0:
		return ""
	case m.whole.guard.tripped:
		return "half of the mesh" + then
	case n == 1:
		return "half of zone " + m.tripped[0].zone + then
	default:
		return fmt.Sprintf("half of each of %d zones"+then, n)
	}
}
