package core

import (
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// The functions of this file translate between the records of the store and the
// values of the mesh.

func specOf(r *store.Registration) *health.Spec {
	return &health.Spec{
		Address: r.Address, HealthName: r.HealthName, Incarnation: r.Incarnation, Labels: r.Labels,
		Zone: r.Zone, Version: r.Version, ServerName: r.ServerName, Static: r.Static, Configured: r.Configured,
		TTL: r.TTL, Judge: judgeOf(r.Judge), Key: keyOf(r), Proves: r.Proves, Protocol: protocolOf(r.Protocol),
		Traffic: trafficOf(r.Traffic), Region: r.Region, Source: r.Source, Registrant: r.Registrant, Peer: r.Peer,
		Proof: proofOf(r.Proof), Lease: r.Lease, RegisteredAt: r.RegisteredAt,
	}
}

func registrationRecord(id health.ID, s *health.Spec) store.Registration {
	return store.Registration{
		ID: id, Address: s.Address, HealthName: s.HealthName, Incarnation: s.Incarnation, Labels: s.Labels,
		Zone: s.Zone, Version: s.Version, ServerName: s.ServerName, Static: s.Static, Configured: s.Configured,
		TTL: s.TTL, Judge: judgeRecord(s.Judge), Key: s.Key.Bytes(), Proves: s.Proves, Protocol: protocolRecord(s.Protocol),
		Traffic: trafficRecord(&s.Traffic), Region: s.Region, Source: s.Source, Registrant: s.Registrant, Peer: s.Peer,
		Proof: proofRecord(s.Proof), Lease: s.Lease, RegisteredAt: s.RegisteredAt,
	}
}

func trafficOf(t *store.Traffic) health.Traffic {
	if t == nil {
		return health.Traffic{}
	}
	return health.Traffic{Address: t.Address, Weight: t.Weight, TLSNames: t.TLSNames}
}

func trafficRecord(t *health.Traffic) *store.Traffic {
	if t.IsZero() {
		return nil
	}
	return &store.Traffic{Address: t.Address, Weight: t.Weight, TLSNames: t.TLSNames}
}

// keyOf returns the process key in a stored registration. It returns the zero key if this version
// of the program cannot read the stored one.
func keyOf(r *store.Registration) health.Key {
	key, _ := health.KeyFrom(r.Key)
	return key
}

// protocolOf translates the stored name of a protocol. It returns ProtocolAuto if this version of
// the program does not know the name.
func protocolOf(name string) health.Protocol {
	p, _ := health.ParseProtocol(name)
	return p
}

func protocolRecord(p health.Protocol) string {
	if p == health.ProtocolAuto {
		return ""
	}
	return p.String()
}

// proofOf translates the stored name of a proof. A registration of a version without proofs has none, and needs
// none. A name that this version of the program does not know is no proof.
func proofOf(name string) health.EndpointProof {
	if name == "" {
		return health.ProofNotRequired
	}
	p, err := health.ParseEndpointProof(name)
	if err != nil {
		return health.ProofMissing
	}
	return p
}

func proofRecord(p health.EndpointProof) string {
	if p == health.ProofNotRequired {
		return ""
	}
	return p.String()
}

// judgeOf returns the policy that an instance requests for its service, or nil if it requests none.
// A rule that this version of the program does not know is omitted.
func judgeOf(j *store.Judge) *health.ServicePolicy {
	if j == nil {
		return nil
	}
	rule, _ := health.ParseRule(j.Rule)
	return &health.ServicePolicy{Rule: rule, MinAvailable: j.MinAvailable, Optional: j.Optional, Critical: j.Critical}
}

func judgeRecord(p *health.ServicePolicy) *store.Judge {
	if p == nil {
		return nil
	}
	j := &store.Judge{MinAvailable: p.MinAvailable, Optional: p.Optional, Critical: p.Critical}
	if p.Rule != (health.Rule{}) {
		j.Rule = p.Rule.String()
	}
	return j
}

func overrideRecord(o *health.Override) store.Override {
	return store.Override{Scope: o.Scope.String(), Status: o.Status, Author: o.Author, Reason: o.Reason, SetAt: o.SetAt, ExpiresAt: o.ExpiresAt, GoneAt: o.GoneAt}
}

// overrideOf translates a stored override. It returns an error if this version of the program
// cannot read the scope.
func overrideOf(o *store.Override) (*health.Override, error) {
	scope, err := health.ParseScope(o.Scope)
	return &health.Override{Scope: scope, Status: o.Status, Author: o.Author, Reason: o.Reason, SetAt: o.SetAt, ExpiresAt: o.ExpiresAt, GoneAt: o.GoneAt}, err
}

// statusRecord returns the record of the status that the instance would have without an
// override. If there is an override, the cause and the reason of the change are about the
// override. The record has no cause and no reason in this case.
func statusRecord(c *health.Change) store.Status {
	st := store.Status{
		ID: c.ID, Status: c.Judged, Since: c.Since, Proven: c.Proven, Named: c.Named, Unheard: c.Unheard,
		Endpoint: c.Endpoint,
	}
	if c.Route != health.RouteNone {
		st.Route = c.Route.String()
	}
	if c.Override == nil {
		st.Cause, st.Reason = c.Cause, c.Reason
	}
	if c.Spec != nil && c.Proof > c.Spec.Proof {
		st.Shown = &store.ShownProof{Proof: c.Proof.String(), Lease: c.Spec.Lease, Address: c.Spec.Address, Registrant: c.Spec.Registrant}
	}
	return st
}

// loadedStatus returns the status that the mesh gets for an instance from the store. s is nil
// if the store has no status of the instance. trusted says whether the mesh may trust the
// status.
func loadedStatus(s *store.Status, reg *store.Registration, now time.Time, trusted bool) *mesh.Loaded {
	l := &mesh.Loaded{Status: health.Starting, Since: now, Trusted: trusted}
	if s != nil {
		l.Status, l.Cause, l.Reason, l.Since = s.Status, s.Cause, s.Reason, s.Since
		l.Proven, l.Unheard, l.Named = s.Proven, s.Unheard, s.Named
		l.Route, l.Endpoint, l.Proof = loadedRoute(s), s.Endpoint, loadedProof(s, reg)
	}
	return l
}

// loadedProof returns the proof that was stored with a status. It counts only for the registration for which it was
// found: a newer one may have been stored, and its status not yet.
func loadedProof(s *store.Status, reg *store.Registration) health.EndpointProof {
	p := s.Shown
	if p == nil || p.Lease != reg.Lease || p.Address != reg.Address || p.Registrant != reg.Registrant {
		return health.ProofNotRequired
	}
	proof, _ := health.ParseEndpointProof(p.Proof)
	return proof
}

// loadedRoute returns the route of a stored status. A version of the program without routes has stored
// none: the route then follows from the status.
func loadedRoute(s *store.Status) health.Route {
	route, err := health.ParseRoute(s.Route)
	if err != nil || route == health.RouteNone {
		switch s.Status {
		case health.Serving:
			return health.RouteHealthy
		case health.Degraded:
			return health.RouteDegraded
		}
	}
	return route
}

func transitionRecord(c *health.Change) store.Transition {
	t := store.Transition{
		ID: c.ID, From: c.From, To: c.Status, At: c.At, Cause: c.Cause, Reason: c.Reason,
		FirstFailure: c.FirstFailure, Removed: c.Removed,
	}
	if c.Override != nil {
		t.By = c.Override.Author
	}
	return t
}

// actionRecord returns the journal entry which says what was done with the override o at the time
// now. The parameter action says whether o was set, was cleared or has ended.
func actionRecord(now time.Time, o *health.Override, action store.Action) store.Transition {
	t := store.Transition{
		ID: o.Scope.ID(), Scope: o.Scope.String(), To: o.Status, At: now, Cause: health.CauseForced, Action: action, By: o.Author, Reason: o.Reason,
	}
	if o.Status == health.Maintenance {
		t.Cause = health.CauseMaintenance
	}
	if action == store.ActionEnded {
		t.At, t.By, t.Reason = o.Ends(), "", ""
		if o.ExpiresAt.IsZero() {
			t.Reason = "no instance of this name was registered for a day"
		}
	}
	return t
}
