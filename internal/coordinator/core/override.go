package core

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// changeOverride adds the change of an override, which is set or cleared, to d, the draft of the
// next batch. It refuses a scope that matches no registered instance, unless the scope has an
// override already.
func (c *Command) changeOverride(d *draft) error {
	want := c.Override
	old := d.override(want.Scope)
	switch {
	case old == nil && !d.matchesInstance(want.Scope):
		return fmt.Errorf("%s: %w: no registered instance matches", want.Scope, domain.ErrNotFound)
	case old == nil && want.Override != nil && d.countOverrides() >= wire.MaxOverrides:
		return fmt.Errorf("%w: %d overrides are set; allowed: %d (one override can match a service, a zone or labels)", domain.ErrLimit, wire.MaxOverrides, wire.MaxOverrides)
	}
	if want.Override != nil {
		d.setOverride(want.Scope, *want.Override)
	} else {
		d.clearOverride(want, old)
	}
	c.events = []mesh.Event{{Kind: mesh.EventOverride, Scope: want.Scope, Override: want.Override}}
	return nil
}

// setOverride adds the override o of a scope to the draft of the next batch. If the scope is an
// instance that is not registered, the field GoneAt of the override becomes d.now.
func (d *draft) setOverride(scope health.Scope, o health.Override) {
	o.Scope, o.GoneAt = scope, time.Time{}
	if scope.Instance != "" && d.registration(scope.ID()) == nil {
		o.GoneAt = d.now
	}
	d.overrides[scope] = &o
	d.actions = append(d.actions, actionRecord(d.now, &o, store.ActionSet))
}

// clearOverride adds the removal of the override old to the draft of the next batch. old is nil if
// the scope has no override.
func (d *draft) clearOverride(want *OverrideChange, old *health.Override) {
	d.overrides[want.Scope] = nil
	if old != nil {
		cleared := *old
		cleared.Author, cleared.Reason = want.Author, want.Reason
		d.actions = append(d.actions, actionRecord(d.now, &cleared, store.ActionCleared))
	}
}

func (d *draft) matchesInstance(scope health.Scope) bool {
	if scope.Instance != "" {
		return d.registration(scope.ID()) != nil
	}
	for id, reg := range d.registrations {
		if reg != nil && scope.Matches(id, reg.Zone, reg.Labels) {
			return true
		}
	}
	for id := range d.stored.registrations {
		if reg := d.registration(id); reg != nil && scope.Matches(id, reg.Zone, reg.Labels) {
			return true
		}
	}
	return false
}

// countOverrides returns the number of overrides after the commit of the draft, the next batch.
func (d *draft) countOverrides() int {
	n := len(d.stored.overrides)
	for scope, o := range d.overrides {
		switch _, held := d.stored.overrides[scope]; {
		case o != nil && !held:
			n++
		case o == nil && held:
			n--
		}
	}
	return n
}

// deleteEnded adds to the draft of the next batch the removal of overrides that the mesh has ended.
// It must run after all commands were added to the draft. The mesh ends an override without
// ExpiresAt a day after its instance was removed. If this batch registers the instance again, the
// override is not removed, and the mesh gets the override back.
func (d *draft) deleteEnded(ended []health.Override) {
	for i := range ended {
		o := &ended[i]
		held := d.override(o.Scope)
		switch {
		case held == nil || !sameOverride(held, o):
		case o.ExpiresAt.IsZero() && held.GoneAt.IsZero():
			d.events = append(d.events, mesh.Event{Kind: mesh.EventOverride, Scope: o.Scope, Override: held})
		default:
			d.overrides[o.Scope] = nil
			d.actions = append(d.actions, actionRecord(d.now, o, store.ActionEnded))
		}
	}
}

func sameOverride(held, want *health.Override) bool {
	return held.Status == want.Status && held.Author == want.Author && held.Reason == want.Reason &&
		held.SetAt.Equal(want.SetAt) && held.ExpiresAt.Equal(want.ExpiresAt)
}
