package registry

import (
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// restore puts what was stored into the mesh, and publishes it.
func (r *Registry) restore(state *store.State) {
	now := time.Now()
	// Wall times: what else there is of before belongs to another process.
	trusted := trust(now.Sub(state.AliveAt), r.cfg.StoreTrust)
	statuses := map[health.ID]*store.Status{}
	for i := range state.Statuses {
		statuses[state.Statuses[i].ID] = &state.Statuses[i]
	}
	var changes []health.Change
	for i := range state.Registrations {
		reg := &state.Registrations[i]
		r.scribe.committed[reg.ID] = *reg
		changes = r.owner.mesh.Apply(changes, now, &health.Event{
			Kind: health.EventLoad, ID: reg.ID, Lease: reg.Lease, Spec: specOf(reg),
			Loaded: loaded(statuses[reg.ID], trusted),
		})
	}
	if !trusted { // nor may they be after another restart
		r.scribe.queue.record(changes)
	}
	changes = r.owner.mesh.LoadOverrides(changes, now, r.kept(state.Overrides))
	r.scribe.queue.end(r.owner.mesh.Ended())
	changes = r.owner.mesh.Self(changes, health.Serving, health.CauseOK, "")
	r.owner.feed.Publish(changes)
}

// trust reports whether statuses of that age are young enough. A clock that
// went backwards makes them old.
func trust(age, limit time.Duration) bool { return age >= 0 && age <= limit }

// kept returns what is forced, with its scope.
func (r *Registry) kept(records []store.Override) []health.Override {
	var all []health.Override
	for i := range records {
		o := overrideOf(&records[i])
		var err error
		if o.Scope, err = health.ScopeOfKey(records[i].ID); err != nil {
			r.cfg.Logger.Error("a stored override is for nobody", "scope", records[i].ID.Instance, "error", err)
			continue
		}
		r.scribe.forced[records[i].ID] = records[i]
		all = append(all, *o)
	}
	return all
}

func loaded(s *store.Status, trusted bool) *health.Loaded {
	l := &health.Loaded{Status: health.Starting, Since: time.Now(), Trusted: trusted}
	if s != nil {
		l.Status, l.Cause, l.Reason, l.Since, l.Proven = s.Status, s.Cause, s.Reason, s.Since, s.Proven
	}
	return l
}

func specOf(r *store.Registration) *health.Spec {
	return &health.Spec{
		Address: r.Address, HealthName: r.HealthName, Incarnation: r.Incarnation, Labels: r.Labels,
		Zone: r.Zone, Version: r.Version, ServerName: r.ServerName, Static: r.Static, Configured: r.Configured,
		TTL: r.TTL, Judge: judgeOf(r.Judge), Lease: r.Lease, RegisteredAt: r.RegisteredAt,
	}
}

func recordOf(id health.ID, s *health.Spec) store.Registration {
	return store.Registration{
		ID: id, Address: s.Address, HealthName: s.HealthName, Incarnation: s.Incarnation, Labels: s.Labels,
		Zone: s.Zone, Version: s.Version, ServerName: s.ServerName, Static: s.Static, Configured: s.Configured,
		TTL: s.TTL, Judge: judgeRecord(s.Judge), Lease: s.Lease, RegisteredAt: s.RegisteredAt,
	}
}

// judgeOf reads a rule of an earlier version that is none any more as none.
func judgeOf(j *store.Judge) *health.ServicePolicy {
	if j == nil {
		return nil
	}
	rule, _ := health.ParseRule(j.Rule)
	return &health.ServicePolicy{Rule: rule, MinAvailable: j.MinAvailable, Optional: j.Optional}
}

func judgeRecord(p *health.ServicePolicy) *store.Judge {
	if p == nil {
		return nil
	}
	j := &store.Judge{MinAvailable: p.MinAvailable, Optional: p.Optional}
	if p.Rule != (health.Rule{}) {
		j.Rule = p.Rule.String()
	}
	return j
}
