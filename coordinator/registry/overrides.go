package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// SetOverride forces the status of everybody in scope, and of who comes into it
// later. It returns when it is durable and published.
func (r *Registry) SetOverride(ctx context.Context, scope health.Scope, o *health.Override) error {
	return r.scribe.do(ctx, &command{override: &overriding{scope: scope, override: o}})
}

// ClearOverride ends what is forced on scope; author and reason go to the
// history.
func (r *Registry) ClearOverride(ctx context.Context, scope health.Scope, author, reason string) error {
	return r.scribe.do(ctx, &command{override: &overriding{scope: scope, by: author, reason: reason}})
}

// Overrides returns everything that is forced, in order.
func (r *Registry) Overrides(ctx context.Context) ([]health.Forced, error) {
	var all []health.Forced
	err := r.ask(ctx, func(m *health.Mesh, dst []health.Change, _ time.Time) []health.Change {
		all = m.Overrides()
		return dst
	})
	if err != nil {
		return nil, err // the owner may still be at it
	}
	return all, nil
}

// forced returns the override that is kept for a scope, nil if none is.
func (d *draft) forced(key health.ID) *health.Override {
	if o, ok := d.overs[key]; ok {
		return o
	}
	if o, ok := d.s.forced[key]; ok {
		return overrideOf(&o)
	}
	return nil
}

// free drops what was forced on a name that goes.
func (d *draft) free(id health.ID) {
	if d.forced(id) != nil {
		d.overs[id] = nil
	}
}

// draftOverride refuses what would be about nobody, unless it is to end.
func (c *command) draftOverride(d *draft) error {
	want := c.override
	key := want.scope.Key()
	was := d.forced(key)
	switch {
	case was == nil && !d.anybody(want.scope):
		return fmt.Errorf("%s: %w: no instance is registered that it is for", want.scope, wire.ErrNotFound)
	case was == nil && want.override != nil && d.overrides() >= wire.MaxOverrides:
		return fmt.Errorf("%w: %d overrides are set, the most that may; a service, a zone or labels can be forced at once", wire.ErrLimit, wire.MaxOverrides)
	}
	d.overs[key] = want.override
	switch {
	case want.override != nil:
		d.acts = append(d.acts, actionOf(key, want.override, store.ActionSet))
	case was != nil:
		freed := *was // whoever set it may still hold it
		freed.Author, freed.Reason = want.by, want.reason
		d.acts = append(d.acts, actionOf(key, &freed, store.ActionCleared))
	}
	c.events = []health.Event{{Kind: health.EventOverride, Scope: want.scope, Override: want.override}}
	return nil
}

// anybody reports whether an instance is registered that scope is for.
func (d *draft) anybody(scope health.Scope) bool {
	if scope.Instance != "" {
		return d.current(scope.Key()) != nil
	}
	for id, reg := range d.regs {
		if reg != nil && scope.Matches(id, reg.Zone, reg.Labels) {
			return true
		}
	}
	for id := range d.s.committed {
		if reg := d.current(id); reg != nil && scope.Matches(id, reg.Zone, reg.Labels) {
			return true
		}
	}
	return false
}

// overrides counts those there will be.
func (d *draft) overrides() int {
	n := len(d.s.forced)
	for key, o := range d.overs {
		switch _, kept := d.s.forced[key]; {
		case o != nil && !kept:
			n++
		case o == nil && kept:
			n--
		}
	}
	return n
}

// end drafts what has become of overrides whose time is over.
func (d *draft) end(ended []health.Override) {
	for i := range ended {
		o := &ended[i]
		key := o.Scope.Key()
		if kept, ok := d.s.forced[key]; ok && sameOverride(&kept, o) {
			d.overs[key] = nil
			d.acts = append(d.acts, actionOf(key, o, store.ActionEnded))
		}
	}
}

func (d *draft) finishOverrides() {
	for key, o := range d.overs {
		if o == nil {
			d.batch.DeleteOverrides = append(d.batch.DeleteOverrides, key)
			continue
		}
		d.batch.PutOverrides = append(d.batch.PutOverrides, overrideRecord(key, o))
	}
}

// actionOf is an entry of the history about an override.
func actionOf(key health.ID, o *health.Override, what store.Action) store.Transition {
	t := store.Transition{
		ID: key, To: o.Status, At: time.Now(), Cause: health.CauseForced, Action: what, By: o.Author, Reason: o.Reason,
	}
	if o.Status == health.Maintenance {
		t.Cause = health.CauseMaintenance
	}
	if what == store.ActionEnded {
		t.At, t.By, t.Reason = o.ExpiresAt, "", ""
	}
	return t
}

func sameOverride(held *store.Override, want *health.Override) bool {
	return held.Status == want.Status && held.Author == want.Author && held.Reason == want.Reason &&
		held.SetAt.Equal(want.SetAt) && held.ExpiresAt.Equal(want.ExpiresAt)
}

func overrideRecord(key health.ID, o *health.Override) store.Override {
	return store.Override{ID: key, Status: o.Status, Author: o.Author, Reason: o.Reason, SetAt: o.SetAt, ExpiresAt: o.ExpiresAt}
}

func overrideOf(o *store.Override) *health.Override {
	return &health.Override{Status: o.Status, Author: o.Author, Reason: o.Reason, SetAt: o.SetAt, ExpiresAt: o.ExpiresAt}
}
