package sim

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// zone is what a guard looks at; that of the empty name is the whole mesh.
type zone struct {
	known, doubted int
	tripped        bool
	before         bool  // when the owner woke
	since          stamp // tripped, or not
	ended          bool  // it has been tripped before
}

func (o *oracle) zone(name string) *zone {
	z := o.zones[name]
	if z == nil {
		z = &zone{}
		o.zones[name] = z
	}
	return z
}

// enter counts r in its zones as it stands now.
func (o *oracle) enter(r *record, known, doubted bool) {
	doubted = doubted && known
	if known == r.known && doubted == r.doubted {
		return
	}
	for _, name := range zonesOf(r.in) {
		z := o.zone(name)
		z.known += count(known) - count(r.known)
		z.doubted += count(doubted) - count(r.doubted)
	}
	r.known, r.doubted = known, doubted
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func zonesOf(in *instance) []string {
	if in.zone == "" {
		return []string{""}
	}
	return []string{"", in.zone}
}

// guarded reports whether a guard is over r: now, or when the owner woke.
func (o *oracle) guarded(r *record, before bool) bool {
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); before && z.before || !before && z.tripped {
			return true
		}
	}
	return false
}

// mayFade reports whether one is, or was, for long enough that what it holds is
// not believed any more.
func (o *oracle) mayFade(r *record) bool {
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.ended || z.tripped && o.due(z.since, o.policy().GuardMax) {
			return true
		}
	}
	return false
}

// mayBeHeld reports whether a guard is over r, or was in this life.
func (o *oracle) mayBeHeld(r *record) bool {
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.ended || z.tripped {
			return true
		}
	}
	return false
}

// mustFade reports whether all that are over r are for longer than that.
func (o *oracle) mustFade(r *record) bool {
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

func (o *oracle) unguardedFor(r *record, d time.Duration) bool {
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.tripped || z.ended && !o.due(z.since, d) {
			return false
		}
	}
	return true
}

// turnZones notes which guards have tripped, and which have let go: they give
// everybody UnreachableAfter to be heard.
func (o *oracle) turnZones() {
	tripped := o.w.coord.mesh.Guards()
	for i := range tripped {
		o.zone(tripped[i].Zone)
	}
	for name, z := range o.zones {
		if z.tripped != isTripped(tripped, name) {
			z.tripped, z.ended, z.since = !z.tripped, z.ended || z.tripped, o.stamp()
			if !z.tripped {
				o.spare(name)
			}
		}
	}
}

func (o *oracle) spare(zone string) {
	after := o.policy().UnreachableAfter
	for _, in := range o.w.all {
		r := o.records[in.id]
		if r == nil || r.static || zone != "" && zone != in.zone {
			continue
		}
		o.age(r, o.noticed)
		still := r.doubt.set && (r.state.Unconfirmed || r.leaving()) && !r.refused && !r.expired.set
		if still && o.stamp().ends(r.renewed, r.length) < o.w.now+after {
			r.renewed, r.length = o.stamp(), after
		}
	}
}

// justLetGo reports whether a guard over r has ended less than UnreachableAfter
// ago.
func (o *oracle) justLetGo(r *record) bool {
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.ended && !z.tripped && !o.due(z.since, o.policy().UnreachableAfter) && r.doubt.at < z.since.at {
			return true
		}
	}
	return false
}

// wornSinceLetGo reports whether what a guard gave r when it let go would have
// needed more forgiveness than there is.
func (o *oracle) wornSinceLetGo(r *record) bool {
	for _, name := range zonesOf(r.in) {
		if z := o.zone(name); z.tripped || z.ended && !o.worn(z.since, o.policy().UnreachableAfter) {
			return false
		}
	}
	return true
}

// checkZones holds the guards against a count of their own. What nobody was told
// of is looked for before they are called wrong.
func (o *oracle) checkZones() {
	if o.zoneFault() != "" {
		o.scan()
	}
	if fault := o.zoneFault(); fault != "" && o.vague == 0 {
		o.w.fail("guard", "%s", fault)
	}
}

func (o *oracle) zoneFault() string {
	for name, z := range o.zones {
		// Half trips a guard, and a third keeps it.
		must := o.policy().GuardMin > 0 && z.known >= o.policy().GuardMin && 2*z.doubted >= z.known && z.known > 0
		mustNot := z.doubted == 0 || 3*z.doubted < z.known
		if must && !z.tripped || mustNot && z.tripped {
			return fmt.Sprintf("of zone %q %d of %d are in doubt; tripped: %t", name, z.doubted, z.known, z.tripped)
		}
	}
	for _, g := range o.w.coord.mesh.Guards() {
		if z := o.zone(g.Zone); g.Known != z.known || g.Doubted != z.doubted {
			return fmt.Sprintf("of zone %q %d of %d are in doubt, its guard knows of %d of %d", g.Zone, z.doubted, z.known, g.Doubted, g.Known)
		}
	}
	return ""
}

func isTripped(tripped []health.Guard, zone string) bool {
	for i := range tripped {
		if tripped[i].Zone == zone {
			return true
		}
	}
	return false
}
