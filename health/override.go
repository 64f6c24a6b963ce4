package health

import (
	"slices"
	"time"
)

// overrides is what persons force. It is small: what an instance comes to is
// looked up when it comes, changes, or one of them does.
type overrides struct {
	by map[Scope]*forcing
	// selectors are those that are neither for one instance nor for one service.
	selectors []*forcing
	due       moment // when the first of them ends
	ended     []Override
}

// forcing is one override and when it ends on the mesh's own clock.
type forcing struct {
	Override
	labels []label // of Scope
	end    moment
}

func (f *forcing) matches(id ID, spec *Spec) bool {
	return f.Scope.matchesName(id, spec.Zone) && carries(spec.Labels, f.labels)
}

// overridden is layer 5: what a person forces replaces the value and feeds
// nothing below.
func (in *instance) overridden(v verdict) verdict {
	if in.forced == nil {
		return v
	}
	cause := CauseForced
	if in.forced.Status == Maintenance {
		cause = CauseMaintenance
	}
	return verdict{status: in.forced.Status, cause: cause, reason: in.forced.Reason, unconfirmed: v.unconfirmed}
}

// override sets or clears one, and publishes what that changes.
func (m *Mesh) override(dst []Change, scope Scope, o *Override) []Change {
	m.overrides.drop(scope)
	if o != nil {
		m.putOverride(scope, *o)
	}
	if scope.Instance == "" {
		labels := scope.pairs()
		return m.reforce(dst, func(in *instance) bool {
			return scope.matchesName(in.state.ID, in.spec.Zone) && carries(in.spec.Labels, labels)
		})
	}
	if in := m.instances[scope.Key()]; in != nil {
		in.forced = m.overrides.of(in.state.ID, in.spec)
		dst = m.settle(dst, in)
	}
	return dst
}

// LoadOverrides takes over what a store has kept, each with its scope, when the
// instances are loaded. Those that are over, and those for an instance that is
// not there any more, have Ended.
func (m *Mesh) LoadOverrides(dst []Change, now time.Time, kept []Override) []Change {
	m.setNow(now)
	for _, o := range kept {
		if !m.putOverride(o.Scope, o) && o.Scope.Instance != "" && m.instances[o.Scope.Key()] == nil {
			m.overrides.ended = append(m.overrides.ended, o)
		}
	}
	return m.reforce(dst, anybody)
}

func anybody(*instance) bool { return true }

// putOverride reports whether the override holds. One that is over already has
// ended; one for an instance that left while it was being stored is for nobody.
func (m *Mesh) putOverride(scope Scope, o Override) bool {
	o.Scope = scope
	if scope.Instance != "" && m.instances[scope.Key()] == nil {
		return false
	}
	f := &forcing{Override: o, labels: scope.pairs(), end: never}
	if !o.ExpiresAt.IsZero() {
		left := o.ExpiresAt.Sub(m.wall)
		if left <= 0 {
			m.overrides.ended = append(m.overrides.ended, o)
			return false
		}
		f.end = m.now + moment(left)
	}
	m.overrides.put(f)
	return true
}

func (all *overrides) put(f *forcing) {
	scope := f.Scope
	all.by[scope] = f
	if scope.selector() {
		all.selectors = append(all.selectors, f)
	}
	all.due = min(all.due, f.end)
}

func (all *overrides) drop(scope Scope) {
	if all.by[scope] == nil {
		return
	}
	delete(all.by, scope)
	all.selectors = slices.DeleteFunc(all.selectors, func(f *forcing) bool { return f.Scope == scope })
	all.due = never
	for _, f := range all.by {
		all.due = min(all.due, f.end)
	}
}

// of returns what is forced on an instance: the narrowest that matches, of
// those the latest.
func (all *overrides) of(id ID, spec *Spec) *Override {
	var best *forcing
	take := func(f *forcing) {
		if f != nil && (best == nil || f.before(best)) {
			best = f
		}
	}
	take(all.by[ScopeOf(id)])
	take(all.by[Scope{Service: id.Service}])
	for _, f := range all.selectors {
		if f.matches(id, spec) {
			take(f)
		}
	}
	if best == nil {
		return nil
	}
	return &best.Override
}

func (f *forcing) before(other *forcing) bool {
	switch {
	case f.Scope.rank() != other.Scope.rank():
		return f.Scope.narrower(other.Scope)
	case !f.SetAt.Equal(other.SetAt):
		return f.SetAt.After(other.SetAt)
	}
	return f.Scope.String() < other.Scope.String()
}

// reforce looks again at whom it may concern, in order.
func (m *Mesh) reforce(dst []Change, concerned func(*instance) bool) []Change {
	var moved []*instance
	for id, in := range m.instances {
		if !concerned(in) {
			continue
		}
		if forced := m.overrides.of(id, in.spec); forced != in.forced {
			in.forced = forced
			moved = append(moved, in)
		}
	}
	slices.SortFunc(moved, func(a, b *instance) int { return a.state.ID.Compare(b.state.ID) })
	for _, in := range moved {
		dst = m.settle(dst, in)
	}
	return dst
}

// tickOverrides ends those whose time is over.
func (m *Mesh) tickOverrides(dst []Change) []Change {
	if m.overrides.due > m.now {
		return dst
	}
	var over []Override
	for _, f := range m.overrides.by {
		if f.end <= m.now {
			over = append(over, f.Override)
		}
	}
	slices.SortFunc(over, func(a, b Override) int { return compareScopes(a.Scope, b.Scope) })
	for _, o := range over {
		m.overrides.drop(o.Scope)
	}
	m.overrides.ended = append(m.overrides.ended, over...)
	return m.reforce(dst, anybody)
}

func compareScopes(a, b Scope) int { return a.Key().Compare(b.Key()) }

// Ended returns the overrides whose time has ended since it was asked last.
func (m *Mesh) Ended() []Override {
	ended := m.overrides.ended
	m.overrides.ended = nil
	return ended
}

// Forced is one override and how many instances it forces now: those for whom
// nothing narrower holds.
type Forced struct {
	Override
	Instances int
}

// Overrides returns everything that is forced, in order.
func (m *Mesh) Overrides() []Forced {
	forces := map[Scope]int{}
	for _, in := range m.instances {
		if in.forced != nil {
			forces[in.forced.Scope]++
		}
	}
	all := make([]Forced, 0, len(m.overrides.by))
	for scope, f := range m.overrides.by {
		all = append(all, Forced{f.Override, forces[scope]})
	}
	slices.SortFunc(all, func(a, b Forced) int { return compareScopes(a.Scope, b.Scope) })
	return all
}

// Forcing returns how many overrides are set.
func (m *Mesh) Forcing() int { return len(m.overrides.by) }

// Override is a status forced by a person.
type Override struct {
	Scope     Scope
	Status    Status
	Author    string
	Reason    string
	SetAt     time.Time
	ExpiresAt time.Time // zero: never
}
