package mesh

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// overrideLayer is the fifth of the five layers that compute the status of an instance. If a person
// has forced a status, this status replaces the verdict. The earlier layers are not affected.
type overrideLayer struct {
	forced *health.Override // override that applies to the instance, or nil
}

// apply returns a verdict with the status of the override, or v if there is no override.
func (l *overrideLayer) apply(v verdict) verdict {
	if l.forced == nil {
		return v
	}
	cause := health.CauseForced
	if l.forced.Status == health.Maintenance {
		cause = health.CauseMaintenance
	}
	return verdict{status: l.forced.Status, cause: cause, reason: l.forced.Reason, unconfirmed: v.unconfirmed}
}

// overrides holds all overrides of a mesh. A mesh has few overrides. Therefore the method match
// searches all selectors (overrides whose scope has a zone or labels) when an instance or an
// override changes.
type overrides struct {
	byScope map[health.Scope]*overrideEntry
	// selectors has the overrides whose scope has a zone or labels. They are also in byScope.
	selectors []*overrideEntry
	nextEnd   moment            // moment when the next override ends; lastMoment if none ends
	ended     []health.Override // overrides that have ended since the last call of takeEnded
}

// overrideEntry is one override. It is immutable, because published states refer to it.
type overrideEntry struct {
	health.Override
	// matches reports whether the scope of the override includes an instance.
	matches func(id health.ID, zone string, labels map[string]string) bool
	end     moment // moment when the override ends; lastMoment if it does not end
}

func newOverrides() overrides {
	return overrides{byScope: map[health.Scope]*overrideEntry{}, nextEnd: lastMoment}
}

// set adds an override, unless it has already ended. If the scope of the override is one instance,
// the parameter registered says whether this instance is registered. Without a registered
// instance, the override waits for its registration.
func (o *overrides) set(e *env, override health.Override, registered bool) {
	switch {
	case override.Scope.Instance == "" || registered:
		override.GoneAt = time.Time{}
	case override.GoneAt.IsZero():
		override.GoneAt = e.wall
	}
	entry := &overrideEntry{Override: override, matches: override.Scope.Matcher(), end: lastMoment}
	if ends := override.Ends(); !ends.IsZero() {
		left := ends.Sub(e.wall)
		if left <= 0 {
			o.ended = append(o.ended, override)
			return
		}
		entry.end = e.now + moment(left)
	}
	o.byScope[override.Scope] = entry
	if override.Scope.Selector() {
		o.selectors = append(o.selectors, entry)
	}
	o.nextEnd = min(o.nextEnd, entry.end)
}

// remove removes the override of a scope, if there is one.
func (o *overrides) remove(scope health.Scope) {
	if o.byScope[scope] == nil {
		return
	}
	delete(o.byScope, scope)
	o.selectors = slices.DeleteFunc(o.selectors, func(entry *overrideEntry) bool { return entry.Scope == scope })
	o.findNextEnd()
}

// setRegistered notes that an instance was registered or removed. An override of this instance
// that has no time ExpiresAt ends when the duration OverrideKept has passed after the removal.
func (o *overrides) setRegistered(e *env, id health.ID, registered bool) {
	entry := o.byScope[health.ScopeOf(id)]
	if entry == nil || entry.GoneAt.IsZero() == registered {
		return
	}
	changed := *entry
	changed.GoneAt = time.Time{}
	if !registered {
		changed.GoneAt = e.wall
	}
	if changed.ExpiresAt.IsZero() {
		changed.end = lastMoment
		if !registered {
			changed.end = e.now + moment(health.OverrideKept)
		}
	}
	o.byScope[changed.Scope] = &changed
	o.findNextEnd()
}

func (o *overrides) findNextEnd() {
	o.nextEnd = lastMoment
	for _, entry := range o.byScope {
		o.nextEnd = min(o.nextEnd, entry.end)
	}
}

// match returns the override that applies to an instance, or nil. If the scopes of several
// overrides include the instance, match returns the override with the narrowest scope. If several
// scopes are equally narrow, it returns the latest of these overrides.
func (o *overrides) match(id health.ID, spec *health.Spec) *health.Override {
	return o.matchAt(0, id, spec)
}

// matchAt works like match, but ignores the overrides that end at the moment at or before it.
func (o *overrides) matchAt(at moment, id health.ID, spec *health.Spec) *health.Override {
	var best *overrideEntry
	consider := func(entry *overrideEntry) {
		if entry.end > at && (best == nil || entry.precedes(best)) {
			best = entry
		}
	}
	for _, entry := range []*overrideEntry{o.byScope[health.ScopeOf(id)], o.byScope[health.Scope{Service: id.Service}]} {
		if entry != nil {
			consider(entry)
		}
	}
	for _, entry := range o.selectors {
		if entry.matches(id, spec.Zone, spec.Labels) {
			consider(entry)
		}
	}
	if best == nil {
		return nil
	}
	return &best.Override
}

// precedes is called if the scopes of two overrides include the same instance. It returns true if
// entry applies to the instance, and false if other applies.
func (entry *overrideEntry) precedes(other *overrideEntry) bool {
	switch {
	case entry.Scope.Narrower(other.Scope):
		return true
	case other.Scope.Narrower(entry.Scope):
		return false
	case !entry.SetAt.Equal(other.SetAt):
		return entry.SetAt.After(other.SetAt)
	}
	return entry.Scope.String() < other.Scope.String()
}

func (o *overrides) nextDeadline() moment { return o.nextEnd }

// tick removes the overrides that have ended. It returns true if an override has ended.
func (o *overrides) tick(now moment) bool {
	if o.nextEnd > now {
		return false
	}
	var ended []health.Override
	for _, entry := range o.byScope {
		if entry.end <= now {
			ended = append(ended, entry.Override)
		}
	}
	slices.SortFunc(ended, func(a, b health.Override) int { return compareScopes(a.Scope, b.Scope) })
	for i := range ended {
		o.remove(ended[i].Scope)
	}
	o.ended = append(o.ended, ended...)
	return true
}

// takeEnded returns the overrides that have ended since its last call.
func (o *overrides) takeEnded() []health.Override {
	ended := o.ended
	o.ended = nil
	return ended
}

// compareScopes orders scopes by their IDs, and scopes with equal IDs by their text.
func compareScopes(a, b health.Scope) int {
	return cmp.Or(a.ID().Compare(b.ID()), strings.Compare(a.String(), b.String()))
}

// ActiveOverride is an override with the number of instances whose status it forces now. An
// instance that has a narrower override is not counted.
type ActiveOverride struct {
	health.Override
	Instances int
}

// list returns all overrides, ordered by scope. instances has, for each scope, the number of
// instances whose status is forced by the override of this scope.
func (o *overrides) list(instances map[health.Scope]int) []ActiveOverride {
	all := make([]ActiveOverride, 0, len(o.byScope))
	for scope, entry := range o.byScope {
		all = append(all, ActiveOverride{entry.Override, instances[scope]})
	}
	slices.SortFunc(all, func(a, b ActiveOverride) int { return compareScopes(a.Scope, b.Scope) })
	return all
}
