package mesh

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// guardLayer is the third of the five layers that compute the status of an instance. The layer
// before it, the reach layer, declares an instance dead if the instance is silent for too long. A
// guard may then hold the instance: the instance keeps its reported status.
type guardLayer struct {
	held bool // true while a guard holds the instance
	// expired is true if a guard expired while it held the instance. In this case the status
	// is UNKNOWN instead of the reported status.
	expired bool
	entry   guardEntry // what the instance adds to the counts of two guards: the guard of the mesh and the guard of its zone
}

// guardEntry is what one instance adds to the counts of two guards: the guard of the mesh and the
// guard of its zone. The zero value adds nothing.
type guardEntry struct {
	known   bool   // true if the instance is counted in guard.known
	suspect bool   // true if the instance is also counted in guard.suspect
	zone    string // zone of the instance; if empty, only the guard of the mesh counts it
}

// observe decides whether a guard holds the instance, which means that the status of the instance
// does not become worse. found is what the reach layer has concluded from an event or a deadline. g
// is a tripped guard that covers the instance, or nil.
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

// review handles a change of the guards that cover an instance. g is a tripped guard that covers
// the instance, or nil. If g is nil and a guard held the instance, the instance gets the time
// UnreachableAfter to answer again.
func (l *guardLayer) review(t turn, r *reachLayer, g *guard) {
	switch {
	case !l.held:
	case g != nil:
		l.expired = l.expired || g.expired
	default:
		r.grantReturn(t)
	}
}

// apply returns v, the verdict of the reach layer, if no guard holds the instance. If a guard holds
// the instance, apply returns the verdict of the report layer (reported), marked as unconfirmed.
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

// newEntry returns what the instance now adds to the counts of two guards: the guard of the mesh
// and the guard of its zone. A silent instance that was declared dead adds nothing, unless a guard
// keeps its status.
func (l *guardLayer) newEntry(zone string, rep *reportLayer, r *reachLayer) guardEntry {
	lost := r.state.lostBySilence()
	if !rep.confirmed || rep.leaving() || lost && !l.held {
		return guardEntry{}
	}
	return guardEntry{known: true, zone: zone, suspect: lost || r.notAsked || r.state.silent()}
}

// guard protects a zone or the mesh against a mass failure that is not real. If half of the
// instances become silent at once, the coordinator probably cannot reach them, although they
// run. Then the guard trips. While it is tripped, silence makes no status worse. Reported
// statuses and refused connections still change the status.
//
// A service has no guard. If only one service is silent and all others answer, this service is
// probably dead.
type guard struct {
	zone           string    // zone that the guard covers; empty means the whole mesh
	known, suspect int       // number of counted instances, and number of suspect instances among these
	tripped        bool      // true from the moment when the guard trips until it is released
	expired        bool      // true if the guard is tripped for longer than GuardMax
	since          time.Time // time when the guard tripped
	limit          deadline  // moment when the guard expires; armed only while the guard is tripped and not expired
}

// mustTrip reports whether the guard must trip. This is so if the guard counts at least min
// instances, and at least half of these are suspect.
func (g *guard) mustTrip(min int) bool { return g.known >= min && g.suspect*2 >= g.known }

// mustRelease reports whether the guard must end its effect. This is so if less than a third of
// the instances are suspect. This limit is lower than the limit of mustTrip, so that the first
// instances that answer again do not release the guard.
func (g *guard) mustRelease() bool { return g.suspect == 0 || g.suspect*3 < g.known }

func (g *guard) count(e guardEntry, n int) {
	g.known += n
	if e.suspect {
		g.suspect += n
	}
}

// covers reports whether g protects an instance in this zone. The guard of the mesh protects
// every instance.
func (g *guard) covers(zone string) bool { return g.zone == "" || g.zone == zone }

// guards has the guard of the mesh and the guards of all zones.
type guards struct {
	mesh    guard
	zones   map[string]*guard // guards by zone; a zone without counted instances may be missing
	tripped []*guard          // tripped guards, in the order in which they tripped
}

// move subtracts the old entry of one instance, prev, from the counts of the guards, and adds the
// new entry, next.
func (gs *guards) move(prev, next guardEntry) {
	gs.count(prev, -1)
	gs.count(next, 1)
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

// ofZone returns the guard of a zone, or nil if there is none. If the guard counts no instance,
// ofZone also deletes the guard from the map zones.
func (gs *guards) ofZone(zone string) *guard {
	g := gs.zones[zone]
	if g != nil && g.known == 0 {
		delete(gs.zones, zone)
	}
	return g
}

// covering returns a tripped guard that covers a zone, or nil. It prefers the guard of the mesh.
func (gs *guards) covering(zone string) *guard {
	switch {
	case len(gs.tripped) == 0: // this is the usual case, and needs no look-up in zones
		return nil
	case gs.mesh.tripped:
		return &gs.mesh
	}
	if g := gs.zones[zone]; g != nil && g.tripped {
		return g
	}
	return nil
}

// review trips or releases g if its counts require this. It returns true if g was released.
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

// expire marks g as expired if g has been tripped for GuardMax. It returns true if g has expired
// in this call.
func (g *guard) expire(now moment) bool {
	_, due := g.limit.fire(now)
	g.expired = g.expired || due
	return due
}

func (gs *guards) nextDeadline() moment {
	next := lastMoment
	for _, g := range gs.tripped {
		next = min(next, g.limit.next())
	}
	return next
}

// extend delays the moment when each tripped guard expires by the lateness of this process.
func (gs *guards) extend(lateness time.Duration) {
	for _, g := range gs.tripped {
		g.limit.extend(lateness)
	}
}

// Guard describes a mass-failure guard that is tripped. Such a guard keeps the status of
// instances that became silent at the same time as many others.
type Guard struct {
	// Zone is the zone that the guard covers. It is empty for the guard of the mesh.
	Zone string
	// Since is the time when the guard tripped.
	Since time.Time
	// Known is the number of instances that the guard counts. Suspect is how many of these are
	// silent, or were not called for a long time.
	Known, Suspect int
	// Expired reports that the guard is tripped for longer than GuardMax. The instances that it
	// holds are UNKNOWN.
	Expired bool
}

// list describes the guards that are tripped, in the order in which they tripped.
func (gs *guards) list() []Guard {
	var all []Guard
	for _, g := range gs.tripped {
		all = append(all, g.view())
	}
	return all
}

func (g *guard) view() Guard {
	return Guard{Zone: g.zone, Since: g.since, Known: g.known, Suspect: g.suspect, Expired: g.expired}
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
