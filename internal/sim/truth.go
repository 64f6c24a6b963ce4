package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// checkTruth compares the published state of an instance with the true state. It does not use
// the evidence that the coordinator has received.
func (o instanceChecks) checkTruth(r *record) {
	if !r.static && !r.lives() {
		o.checkDead(r)
	}
	if r.lives() && !r.leaving() {
		o.checkSick(r)
	}
	if r.in.deaf() && !r.excused() {
		o.checkBlind(r)
	}
}

// checkDead checks an instance whose registered process is dead. The instance must not be
// published as routable after the end of its lease, even if another process answers at its
// address.
func (o instanceChecks) checkDead(r *record) {
	lease, spared := ttl+r.extra+slack, o.policy().UnreachableAfter+slack
	over := o.due(r.in.ended, lease) && o.due(r.spoke, lease) && o.due(r.born, ttl+max(o.policy().Amnesty, 0)+slack)
	if over && r.state.Judged.Routable() && r.unguardedFor(spared) {
		o.w.fail("outlived", "%s has died at %v, was last heard itself at %v, and is %+v", r.in.id, r.in.ended.at, r.spoke.at, r.state)
	}
}

// checkSick checks the published status of an instance that answers health calls wrongly: with
// an error, an invalid message, or RESOURCE_EXHAUSTED.
func (o instanceChecks) checkSick(r *record) {
	in, after := r.in, o.policy().UnreachableAfter
	seen := in.sick != sickNot && in.open() && in.other == nobody && !in.unnamed && r.pushers == 0
	for _, since := range []stamp{in.changed, in.closed, in.since, r.born, r.alone, o.w.coord.startedAt} {
		seen = seen && o.awakeFor(since) >= 3*after+r.extra+slack
	}
	if !seen || in.streaming || r.expired.set {
		return
	}
	s := &r.state
	want, why := health.Unknown, health.CauseQuota
	switch in.sick {
	case sickFailing:
		want, why = health.NotServing, health.CauseFailed
	case sickGarbled:
		why = health.CauseMalformed
	}
	if s.Judged != want || s.Cause != why || s.Unconfirmed {
		o.w.fail("answered", "%s answers since %v so that it is %s (%s): %+v", s.ID, in.changed.at, want, why, *s)
	}
}

// checkBlind checks that recurring lateness of the coordinator does not keep a silent instance
// routable. The instance must be unconfirmed after two times UnreachableAfter, and not
// routable after four times. Both times begin again when the coordinator was late by more than
// UnreachableAfter at once.
func (o instanceChecks) checkBlind(r *record) {
	after := o.policy().UnreachableAfter
	since := max(o.aloneSince(r), r.heard, o.away)
	if o.w.now < o.w.coord.forgivenAt+slack || r.pushers > 0 || r.byStranger || r.guarded(false) {
		return // after it was late, the core may need up to 1 s (the constant slack) to publish the worse status
	}
	long := o.w.now - since - slack
	if s := &r.state; long > 2*after && !s.Unconfirmed && s.Judged.Routable() {
		o.w.fail("blind", "%s is silent since %v, and confirmed: %+v", s.ID, since, *s)
	}
	renews := !r.static && r.byItself && !o.due(r.renewed, ttl/2+slack)
	if s := &r.state; long > 4*after+r.extra && !renews && s.Judged.Routable() {
		o.w.fail("blind", "%s is silent since %v, and %+v", s.ID, since, *s)
	}
}

// aloneSince returns the time since which silence can have been the only evidence that the
// coordinator has about the instance.
func (o instanceChecks) aloneSince(r *record) time.Duration {
	since := max(r.in.deafSince, r.born.at, r.alone.at, o.w.coord.startedAt.at)
	for _, name := range zonesOf(r.in) {
		since = max(since, o.zone(name).since.at)
	}
	return since
}
