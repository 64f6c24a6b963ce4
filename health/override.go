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
	end moment
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

// override sets or clears one, and publishes what that changes. One that has
// expired already is not set.
func (m *Mesh) override(dst []Change, scope Scope, o *Override) []Change {
	m.overrides.drop(scope)
	if o != nil {
		m.overrides.put(m, scope, *o)
	}
	return m.reforce(dst, scope)
}

func (all *overrides) put(m *Mesh, scope Scope, o Override) {
	o.Scope = scope
	f := &forcing{Override: o, end: never}
	if !o.ExpiresAt.IsZero() {
		left := o.ExpiresAt.Sub(m.wall)
		if left <= 0 {
			return
		}
		f.end = m.now + moment(left)
	}
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
		if f.Scope.Matches(id, spec.Zone, spec.Labels) {
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

// reforce looks again at everybody in scope.
func (m *Mesh) reforce(dst []Change, scope Scope) []Change {
	for _, in := range m.inScope(scope) {
		if forced := m.overrides.of(in.state.ID, in.spec); forced != in.forced {
			in.forced = forced
			dst = m.settle(dst, in)
		}
	}
	return dst
}

// inScope returns the instances in scope, in order.
func (m *Mesh) inScope(scope Scope) []*instance {
	if scope.Instance != "" {
		if in := m.instances[ID{scope.Service, scope.Instance}]; in != nil {
			return []*instance{in}
		}
		return nil
	}
	var found []*instance
	for id, in := range m.instances {
		if scope.Matches(id, in.spec.Zone, in.spec.Labels) {
			found = append(found, in)
		}
	}
	slices.SortFunc(found, func(a, b *instance) int { return a.state.ID.Compare(b.state.ID) })
	return found
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
		m.overrides.ended = append(m.overrides.ended, o)
		dst = m.reforce(dst, o.Scope)
	}
	return dst
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
