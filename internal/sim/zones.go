package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"
)

// countInZones updates the counts of the instance's zones. known is true if the zones now count
// the instance. suspect is true if the zones now count the
// instance as suspect.
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

// guarded reports whether the guard of the instance's zone or the guard of the mesh is tripped.
// If atBegin is true, guarded reports whether one of the two was tripped before this call of
// core.Step.
func (r *record) guarded(atBegin bool) bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); atBegin && z.before || !atBegin && z.tripped {
			return true
		}
	}
	return false
}

// guardMayExpire reports whether a guard of the instance may have expired, so that the instance
// may be UNKNOWN. This is possible if the guard has been tripped for GuardMax, or if it was
// tripped earlier and has been released.
func (r *record) guardMayExpire() bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.ended || z.tripped && o.due(z.since, o.policy().GuardMax) {
			return true
		}
	}
	return false
}

// guardMayHold reports whether a guard of the instance is tripped, or was tripped at any time
// since the last start of the coordinator.
func (r *record) guardMayHold() bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.ended || z.tripped {
			return true
		}
	}
	return false
}

// guardMustExpire reports whether at least one guard of the instance is tripped, and all its
// tripped guards have been tripped for longer than GuardMax.
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

// noteGuards stores which guards are tripped now. When a guard releases, every suspect
// instance in its zone gets the time UnreachableAfter to answer.
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
			if r.leaving() { // the published state does not show whether the mesh extends the lease of this instance
				r.mayGo = o.stamp().ends(r.renewed, r.length)
			}
			r.renewed, r.length = o.stamp(), after
		}
	}
}

// guardJustEnded reports whether a guard of the instance was released less than
// UnreachableAfter ago, and the instance was suspect before the release.
func (r *record) guardJustEnded() bool {
	o := r.o
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.ended && !z.tripped && !o.due(z.since, o.policy().UnreachableAfter) && r.suspectFrom.at < z.since.at {
			return true
		}
	}
	return false
}

// overForgivenSinceGuard reports whether the coordinator was late by more than four times
// UnreachableAfter since the release of each guard of the instance. It reports false while a
// guard is tripped, and true if no guard has ever tripped.
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
