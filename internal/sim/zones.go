package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"
)

// countInZones updates the counts of the zones of r. known says whether they count r at all,
// and suspect whether they count it as suspect.
func (r *record) countInZones(known, suspect bool) {
	o := r.o
	suspect = suspect && known
	if known == r.countedKnown && suspect == r.countedSuspect {
		return
	}
	for _, name := range zonesOf(r.in) {
		z := o.zone(name)
		z.known += count(known) - count(r.countedKnown)
		z.suspects += count(suspect) - count(r.countedSuspect)
	}
	r.countedKnown, r.countedSuspect = known, suspect
}

// guarded reports whether a guard of r is tripped. If before is true, it reports this for the
// begin of the Step, and otherwise for now.
func (r *record) guarded(before bool) bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); before && z.before || !before && z.tripped {
			return true
		}
	}
	return false
}

// guardMayExpire reports whether a guard of r may have expired: it has been tripped for
// GuardMax, or it ended earlier. The status of r may then be UNKNOWN.
func (r *record) guardMayExpire() bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.ended || z.tripped && o.due(z.since, o.policy().GuardMax) {
			return true
		}
	}
	return false
}

// guardMayHold reports whether a guard of r is tripped, or was tripped at any time since the
// last start of the coordinator.
func (r *record) guardMayHold() bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.ended || z.tripped {
			return true
		}
	}
	return false
}

// guardMustExpire reports whether a guard of r is tripped, and every tripped guard of r has
// been tripped for longer than GuardMax.
func (r *record) guardMustExpire() bool {
	o := r.o
	must := false
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.tripped {
			if must = o.due(z.since, o.policy().GuardMax+slack); !must {
				return false
			}
		}
	}
	return must
}

func (r *record) unguardedFor(d time.Duration) bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.tripped || z.ended && !o.due(z.since, d) {
			return false
		}
	}
	return true
}

// noteGuards stores which guards are tripped now. When a guard ends, every suspect of its
// zone gets UnreachableAfter to send an answer.
func (o *oracle) noteGuards() {
	tripped := o.w.coord.mesh().Guards()
	for i := range tripped {
		o.zone(tripped[i].Zone)
	}
	for name, z := range o.zones {
		if z.tripped != isTripped(tripped, name) {
			z.tripped, z.ended, z.since = !z.tripped, z.ended || z.tripped, o.stamp()
			if !z.tripped {
				o.extendAfterGuard(name)
			}
		}
	}
}

func (o *oracle) extendAfterGuard(zone string) {
	after := o.policy().UnreachableAfter
	for _, in := range o.w.all {
		r := o.records[in.id]
		if r == nil || zone != "" && zone != in.zone {
			continue
		}
		r.expireDeadlines(o.noticed)
		if r.held || r.suspectFrom.set && !r.lost() {
			r.heard = max(r.heard, o.w.now)
		}
		if r.static {
			continue
		}
		still := r.suspectFrom.set && (r.state.Unconfirmed || r.leaving()) && !r.refused && !r.expired.set
		if still && o.stamp().ends(r.renewed, r.length) < o.w.now+after {
			if r.leaving() { // the mesh may have given r up, which is not visible; r then gets no extension
				r.mayGo = o.stamp().ends(r.renewed, r.length)
			}
			r.renewed, r.length = o.stamp(), after
		}
	}
}

// guardJustEnded reports whether a guard of r has ended less than UnreachableAfter ago, and
// r was suspect before that.
func (r *record) guardJustEnded() bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.ended && !z.tripped && !o.due(z.since, o.policy().UnreachableAfter) && r.suspectFrom.at < z.since.at {
			return true
		}
	}
	return false
}

// overForgivenSinceGuard reports whether no guard of r is tripped, and too much lateness to
// forgive occurred since the end of each guard of r.
func (r *record) overForgivenSinceGuard() bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.tripped || z.ended && !o.isOverForgiven(z.since, o.policy().UnreachableAfter) {
			return false
		}
	}
	return true
}

func isTripped(tripped []mesh.Guard, zone string) bool {
	for i := range tripped {
		if tripped[i].Zone == zone {
			return true
		}
	}
	return false
}
