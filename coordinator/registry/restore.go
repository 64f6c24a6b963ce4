package registry

import (
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// restore puts what was stored into the mesh, and publishes it.
func (r *Registry) restore(state *store.State) {
	now := time.Now()
	// The only wall times that are ever compared.
	trusted := trust(now.Sub(state.AliveAt), r.cfg.StoreTrust)
	statuses := map[health.ID]*store.Status{}
	for i := range state.Statuses {
		statuses[state.Statuses[i].ID] = &state.Statuses[i]
	}
	overrides := map[health.ID]*store.Override{}
	for i := range state.Overrides {
		overrides[state.Overrides[i].ID] = &state.Overrides[i]
	}
	var changes []health.Change
	for i := range state.Registrations {
		reg := &state.Registrations[i]
		r.scribe.committed[reg.ID] = *reg
		changes = r.owner.mesh.Apply(changes, now, &health.Event{
			Kind: health.EventLoad, ID: reg.ID, Lease: reg.Lease, Spec: specOf(reg),
			Loaded: loaded(statuses[reg.ID], overrides[reg.ID], trusted),
		})
	}
	changes = r.owner.mesh.Self(changes, health.Serving, health.CauseOK, "")
	r.owner.feed.Publish(changes)
}

// trust reports whether statuses of that age are young enough. A clock that
// went backwards makes them old.
func trust(age, limit time.Duration) bool { return age >= 0 && age <= limit }

func loaded(s *store.Status, o *store.Override, trusted bool) *health.Loaded {
	l := &health.Loaded{Status: health.Starting, Since: time.Now(), Trusted: trusted, Override: overrideOf(o)}
	if s != nil {
		l.Status, l.Cause, l.Reason, l.Since, l.Proven = s.Status, s.Cause, s.Reason, s.Since, s.Proven
	}
	return l
}

func specOf(r *store.Registration) *health.Spec {
	return &health.Spec{
		Address: r.Address, HealthName: r.HealthName, Incarnation: r.Incarnation, Labels: r.Labels,
		Zone: r.Zone, Version: r.Version, ServerName: r.ServerName, Static: r.Static, Configured: r.Configured,
		TTL: r.TTL, Lease: r.Lease, RegisteredAt: r.RegisteredAt,
	}
}

func recordOf(id health.ID, s *health.Spec) store.Registration {
	return store.Registration{
		ID: id, Address: s.Address, HealthName: s.HealthName, Incarnation: s.Incarnation, Labels: s.Labels,
		Zone: s.Zone, Version: s.Version, ServerName: s.ServerName, Static: s.Static, Configured: s.Configured,
		TTL: s.TTL, Lease: s.Lease, RegisteredAt: s.RegisteredAt,
	}
}

func overrideOf(o *store.Override) *health.Override {
	if o == nil {
		return nil
	}
	return &health.Override{Status: o.Status, Author: o.Author, Reason: o.Reason, SetAt: o.SetAt, ExpiresAt: o.ExpiresAt}
}
