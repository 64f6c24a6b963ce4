package mesh

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// guardLayer is the third layer. If the reach layer has given an instance up, a guard may
// hold the instance, which means that it keeps its reported status.
type guardLayer struct {
	held bool // true if a guard holds the instance
	// expired is true if a guard expired while the instance was held. In this case the status
	// is UNKNOWN and not the last reported one.
	expired bool
	entry   guardEntry // what the instance adds to the counts of its guards
}

// guardEntry is what one instance adds to the counts of its guards. The zero value adds
// nothing.
type guardEntry struct {
	known, suspect bool   // whether the fields known and suspect of a guard count the instance
	zone           string // zone of the instance; empty: only the guard of the mesh counts it
}

// observe holds or releases the instance after the reach layer has returned found. g is a
// tripped guard that covers the instance, or nil.
func (l *guardLayer) observe(found finding, r *reachLayer, g *guard) {
	switch {
	case !r.state.lostBySilence(), found == foundDeath:
		l.held, l.expired = false, false
	case found == foundLoss && g == nil:
		l.held, l.expired = false, false
	case found == foundLoss:
		l.held, l.expired = true, l.expired || g.expired
	}
}

// review handles a change of the guards that cover a held instance. g is a tripped guard that
// covers the instance, or nil. If g is nil, the instance has some time to answer again.
func (l *guardLayer) review(t turn, r *reachLayer, g *guard) {
	switch {
	case !l.held:
	case g != nil:
		l.expired = l.expired || g.expired
	default:
		r.grantReturn(t)
	}
}

// apply returns the verdict v of the reach layer for an instance that is not held. For a held
// instance it returns the verdict reported of the report layer, marked as unconfirmed.
func (l *guardLayer) apply(t turn, v, reported verdict, r *reachLayer, rep *reportLayer) verdict {
	if !l.held || excused(t.spec, rep) {
		return v
	}
	v = reported
	v.unconfirmed = true
	if r.config != health.CauseNone {
		v.status = health.Unknown
	}
	if v.status != health.NotServing {
		v.cause, v.reason = health.CauseGuarded, r.reason
		if l.expired {
			v.status = health.Unknown
		}
	}
	if r.giveUp.armed() {
		v.nextAt, v.nextCause = r.giveUp.at, r.state.cause()
	}
	return v
}

// newEntry returns what the instance must add to the counts of its guards now. An instance
// that was given up and is not held adds nothing.
func (l *guardLayer) newEntry(zone string, rep *reportLayer, r *reachLayer) guardEntry {
	lost := r.state.lostBySilence()
	if !rep.confirmed || rep.leaving() || lost && !l.held {
		return guardEntry{}
	}
	return guardEntry{known: true, zone: zone, suspect: lost || r.notAsked || r.state.silent()}
}

// guard is the mass-failure guard of a zone or of the mesh. If half of the instances become
// silent at once, the coordinator probably cannot reach them, although they live. While the
// guard is tripped, silence makes no status worse. Reported statuses and refused connections
// still change the status.
//
// A service has no guard. If only one service is silent and the rest of the mesh answers,
// the service is probably dead.
type guard struct {
	zone           string    // zone that the guard covers; empty: the whole mesh
	known, suspect int       // number of instances that count, and of those that are suspect
	tripped        bool      // true from trip to release
	expired        bool      // true if the guard is tripped for longer than GuardMax
	since          time.Time // time when the guard tripped
	limit          deadline  // end of GuardMax; armed while tripped and not expired
}

// mustTrip reports whether the guard counts at least min instances and half of them are
// suspect.
func (g *guard) mustTrip(min int) bool { return g.known >= min && g.suspect*2 >= g.known }

// mustRelease reports whether less than a third of the instances are suspect. This limit is
// lower than that of mustTrip, so that the first instances that answer again do not release
// the guard.
func (g *guard) mustRelease() bool { return g.suspect == 0 || g.suspect*3 < g.known }

func (g *guard) count(e guardEntry, n int) {
	g.known += n
	if e.suspect {
		g.suspect += n
	}
}

// covers reports whether g is the guard of the mesh or of this zone.
func (g *guard) covers(zone string) bool { return g.zone == "" || g.zone == zone }

// guards are the guards of a mesh and its zones.
type guards struct {
	mesh    guard
	zones   map[string]*guard // guards by zone; a zone without known instances may be missing
	tripped []*guard          // tripped guards, in the order in which they tripped
}

// move replaces the entry was of an instance by the entry now in the counts of its guards.
func (gs *guards) move(was, now guardEntry) {
	gs.count(was, -1)
	gs.count(now, 1)
}

func (gs *guards) count(e guardEntry, n int) {
	if !e.known {
		return
	}
	gs.mesh.count(e, n)
	if e.zone == "" {
		return
	}
	g := gs.zones[e.zone]
	if g == nil {
		g = &guard{zone: e.zone}
		gs.zones[e.zone] = g
	}
	g.count(e, n)
}

// ofZone returns the guard of a zone, or nil. If the guard counts no instance, ofZone also
// deletes it from zones.
func (gs *guards) ofZone(zone string) *guard {
	g := gs.zones[zone]
	if g != nil && g.known == 0 {
		delete(gs.zones, zone)
	}
	return g
}

// covering returns a tripped guard that covers a zone, or nil. The guard of the mesh comes
// first.
func (gs *guards) covering(zone string) *guard {
	switch {
	case len(gs.tripped) == 0: // this is the usual case and needs no look-up in zones
		return nil
	case gs.mesh.tripped:
		return &gs.mesh
	}
	if g := gs.zones[zone]; g != nil && g.tripped {
		return g
	}
	return nil
}

// review trips or releases g if its counts require this. released reports whether it has
// released g.
func (gs *guards) review(e *env, g *guard) (released bool) {
	switch {
	case !g.tripped && e.policy.GuardMin > 0 && g.mustTrip(e.policy.GuardMin):
		g.tripped, g.since = true, e.wall
		g.limit.arm(e.now, e.policy.GuardMax)
		gs.tripped = append(gs.tripped, g)
	case g.tripped && g.mustRelease():
		g.tripped, g.expired = false, false
		g.limit.disarm()
		gs.tripped = slices.DeleteFunc(gs.tripped, func(t *guard) bool { return t == g })
		return true
	}
	return false
}

// expire sets expired if GuardMax has ended. It reports whether this call has set expired.
func (g *guard) expire(now moment) bool {
	_, due := g.limit.fire(now)
	g.expired = g.expired || due
	return due
}

func (gs *guards) nextDeadline() moment {
	next := never
	for _, g := range gs.tripped {
		next = min(next, g.limit.next())
	}
	return next
}

// extend delays the end of GuardMax of all tripped guards by the lateness of the owner.
func (gs *guards) extend(late time.Duration) {
	for _, g := range gs.tripped {
		g.limit.extend(late)
	}
}

// Guard is a mass-failure guard that is tripped.
type Guard struct {
	// Zone is the zone that the guard covers. It is empty for the guard of the mesh.
	Zone string
	// Since is the time when the guard tripped.
	Since time.Time
	// Known is the number of instances that the guard counts. Suspect is the number of them
	// that are silent or not asked.
	Known, Suspect int
	// Expired reports that the guard is tripped for longer than GuardMax. The held instances
	// are UNKNOWN.
	Expired bool
}

// list returns the guards that are tripped, in the order in which they tripped.
func (gs *guards) list() []Guard {
	var all []Guard
	for _, g := range gs.tripped {
		all = append(all, Guard{Zone: g.zone, Since: g.since, Known: g.known, Suspect: g.suspect, Expired: g.expired})
	}
	return all
}

// describe returns a text that says which guards are tripped. The text is empty if no guard
// is tripped.
func (gs *guards) describe() string {
	const held = " cannot be reached; what that would lower is held"
	switch n := len(gs.tripped); {
	case n == 0:
		return ""
	case gs.mesh.tripped:
		return "half of the mesh" + held
	case n == 1:
		return "half of zone " + gs.tripped[0].zone + held
	default:
		return fmt.Sprintf("half of each of %d zones"+held, n)
	}
}
