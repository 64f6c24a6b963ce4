package explain

import (
	"fmt"
	"slices"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// instance adds the evidence about an instance: its checks, and how the coordinator receives its
// status.
func (b *explainer) instance() {
	b.checks()
	b.fault()
	b.identity()
	b.source()
	b.received()
	b.lease()
	b.route()
	b.endpoint()
}

// checks adds the checks that are not SERVING, the latest run first.
func (b *explainer) checks() {
	checks := b.s.Checks
	if b.view != nil {
		checks = b.view.Checks
	}
	var bad []Evidence
	for i := range checks {
		if c := &checks[i]; c.Status != health.Serving {
			bad = append(bad, Evidence{
				Source: "check " + c.Name, Status: c.Status, Cause: c.Cause, Text: joined(wordsOf(c.Cause), c.Reason), At: c.LastRun, Count: c.Fails,
			})
		}
	}
	slices.SortStableFunc(bad, func(x, y Evidence) int { return y.At.Compare(x.At) })
	for _, e := range bad {
		b.add(e)
	}
}

// faultWords has the words for the kinds of faults, which follow the address of the instance.
var faultWords = map[mesh.EventKind]struct {
	text   string
	status health.Status
	cause  health.Cause
}{
	mesh.EventRefused:   {"refused the connection", health.NotServing, health.CauseRefused},
	mesh.EventFailed:    {"answered with an error", health.NotServing, health.CauseFailed},
	mesh.EventMalformed: {"sent an answer that is not valid", health.Unknown, health.CauseMalformed},
	mesh.EventQuota:     {"had no room for the call", health.Unknown, health.CauseQuota},
	mesh.EventPath:      {"did not answer", health.Unknown, health.CauseUnreachable},
	mesh.EventConfig:    {"gave an answer that says nothing about the health", health.Unknown, health.CauseNone},
	mesh.EventStranger:  {"belongs to another process", health.Unknown, health.CauseNone},
	mesh.EventOwnFault:  {"was not called, because the coordinator lacked a resource", health.Unknown, health.CauseNone},
}

// fault adds the faults since the last valid answer.
func (b *explainer) fault() {
	if b.view == nil || b.view.Reach.Fault.Count == 0 {
		return
	}
	f := &b.view.Reach.Fault
	w := faultWords[f.Kind]
	cause := w.cause
	if f.Cause != health.CauseNone {
		cause = f.Cause
	}
	b.add(Evidence{
		Source: "reach", Status: w.status, Cause: cause, Text: joined(b.s.Spec.Address+" "+w.text, f.Reason), At: f.Last, Count: f.Count,
	})
}

// identity adds evidence about whether the status is confirmed, and whether the registered process
// has answered.
func (b *explainer) identity() {
	s := b.s
	if s.Unconfirmed && s.Status != health.Starting {
		b.say("reach", "this is the last known status; it cannot be confirmed now")
	}
	if s.Unheard {
		b.say("reported", "no status was received from it since it registered; its address is %s", s.Spec.Address)
	}
	if s.Stranger {
		b.say("reach", "another process than the registered one answers at %s; its answers do not count", s.Spec.Address)
	}
	if s.Unproved {
		b.say("reach", "the process that answers at %s has not proved that it is the registered one", s.Spec.Address)
	}
}

// source adds evidence about how the coordinator receives the status.
func (b *explainer) source() {
	s := b.s
	switch {
	case s.Stranger && !s.Pushed:
		b.say("lease", "if the registered process does not renew its lease, the instance becomes NOT_SERVING (lease_expired) within %s", brief(s.Spec.TTL))
	case s.Unreachable:
		b.say("lease", "the coordinator cannot reach it at %s, but its client renews the lease, so it is alive", s.Spec.Address)
	case s.Pushed && s.Stranger:
		b.say("reach", "it pushes its status")
	case s.Pushed:
		b.say("reach", "it pushes its status, because the coordinator cannot reach it at %s", s.Spec.Address)
	case s.Source == health.SourcePush:
		b.say("reach", "it does not push its status any more, and has not answered at %s", s.Spec.Address)
	case s.Unheard:
	case s.Source == health.SourceNone:
		b.say("reach", "no status was received from it at %s since the coordinator started", s.Spec.Address)
	case s.Via != "":
		b.say("reach", "the coordinator follows it at %s, by %s: %s", s.Spec.Address, s.Source, s.Via)
	default:
		b.say("reach", "the coordinator follows it at %s, by %s", s.Spec.Address, s.Source)
	}
}

// received adds the last status that came from the instance, and its last answer.
func (b *explainer) received() {
	if b.view == nil {
		return
	}
	r := &b.view.Reported
	failed := b.view.Reach.Fault.Kind == mesh.EventFailed && r.In == health.NotServing // the fault says it
	if r.At.IsZero() || failed {
		return
	}
	e := Evidence{Source: "reported", Status: r.In, Cause: r.In.Cause(), Text: fmt.Sprintf("it reported %s, by %s", r.In, r.Source), At: r.At}
	if r.In == r.Out && r.Cause != health.CauseNone {
		e.Cause = r.Cause
	}
	b.add(e)
	if answered := b.view.Reach.AnsweredAt; answered.After(r.At) {
		b.add(Evidence{Source: "reach", Status: r.In, Cause: e.Cause, Text: "its last answer confirmed what it reported", At: answered})
	}
}

// lease adds the last renewal of the lease, or its end.
func (b *explainer) lease() {
	if b.view == nil || b.s.Spec.Static {
		return
	}
	l := &b.view.Lease
	ttl := brief(l.TTL)
	switch {
	case l.EndsAt.IsZero():
		b.add(Evidence{
			Source: "lease", Status: health.NotServing, Cause: health.CauseLeaseExpired, Text: "its lease of " + ttl + " was not renewed after this", At: l.RenewedAt,
		})
	case !l.RenewedAt.IsZero():
		b.add(Evidence{Source: "lease", Text: "its lease of " + ttl + " was renewed", At: l.RenewedAt})
	default:
		b.say("lease", "its lease of %s was not renewed since the start of the coordinator", ttl)
	}
}

// route adds evidence if routing clients see the instance in another way than its status says.
func (b *explainer) route() {
	s := b.s
	missing := s.Route.Routable() && !s.Endpoint.IsValid()
	if s.RouteKept && s.Route != health.RouteNone || s.Route == health.RouteDuplicate || missing {
		b.say("route", "routing clients see it as %s: %s", s.Route, Route(s))
	}
}

// endpoint adds evidence about whose the endpoint of the instance is.
func (b *explainer) endpoint() {
	s := b.s
	switch s.Proof {
	case health.ProofNotRequired:
	case health.ProofMissing:
		b.say("endpoint", "%s", unproven(s))
	default:
		b.say("endpoint", "its endpoint is proven (%s): %s", s.Proof, proven(s))
	}
}

// unproven returns in words what proof the endpoint of an instance lacks.
func unproven(s *health.State) string {
	text := "nothing proves its endpoint, so it receives no traffic; a proof is an answer of the registered process at " + s.Spec.Address
	if s.Spec.Registrant != "" {
		text += ", or a certificate there of " + s.Spec.Registrant
	}
	return text
}

// proven returns in words what proves the endpoint of an instance.
func proven(s *health.State) string {
	switch s.Proof {
	case health.ProofRule:
		return "a rule of the access policy allows the address to whoever registered it"
	case health.ProofConfigured:
		return "the configuration of the coordinator names it"
	case health.ProofPeer:
		return "it registered from its own address, or pushes its status from there"
	case health.ProofProcess:
		return "the registered process has answered at this address"
	}
	return "the certificate at this address is of " + s.Spec.Registrant
}

// Route returns in words why routing clients see the instance with the state s as they do, such as
// "it is SERVING".
func Route(s *health.State) string {
	text := "it is " + s.Status.String()
	if s.Override == nil && s.Cause != health.CauseNone && s.Cause != s.Status.Cause() {
		text += " (" + s.Cause.String() + ")"
	}
	switch {
	case s.Route == health.RouteUnproven:
		return "nothing proves its endpoint"
	case s.Route == health.RouteDuplicate:
		return fmt.Sprintf("another instance of its service has the endpoint %s", s.Endpoint)
	case s.Route == health.RouteNone:
		text += ", and nothing else was ever known of it"
	case s.RouteKept && s.Status == health.Unknown:
		text += ", so its route stays as it was"
	case s.RouteKept:
		text = "it cannot be reached, but without it less than half of the endpoints of its service would remain"
	}
	if s.Override != nil {
		text += " by an override"
	}
	if !s.Endpoint.IsValid() {
		text += "; the coordinator has not connected to it yet, so its IP address is not known"
	}
	return text
}
