package sim

import (
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// sameOverride reports whether two overrides are equal. nil means that there is no override.
func sameOverride(have, want *health.Override) bool {
	if have == nil || want == nil {
		return have == nil && want == nil
	}
	return have.Status == want.Status && have.Reason == want.Reason && have.SetAt.Equal(want.SetAt) && have.ExpiresAt.Equal(want.ExpiresAt)
}

// instanceChecks has the checks that compare the published state of an instance with the
// states that are allowed.
type instanceChecks struct{ *oracle }

// check checks the published state of the instance that r describes. This state must agree
// with all evidence that the coordinator has received, and with the truth.
func (o instanceChecks) check(r *record) {
	s := &r.state
	r.expireDeadlines(o.stamp())
	if !sameOverride(s.Override, r.forced) || r.forced != nil && s.Status != r.forced.Status || r.forced == nil && s.Status != s.Judged {
		o.w.fail("override", "%s is %s (judged %s) with override %+v, want %+v", s.ID, s.Status, s.Judged, s.Override, r.forced)
	}
	if s.Stranger != r.stranger {
		o.w.fail("stranger", "another process answers for %s: %t; published %+v", s.ID, r.stranger, *s)
	}
	flapping := s.Cause == health.CauseFlapping
	if !flapping {
		r.flapping = stamp{}
	}
	if r.excused() && s.Judged != r.said && r.mayBelieve() {
		r.believe() // the mesh has accepted SERVING from a foreign process at the address
	}
	switch {
	case r.excused():
		o.checkLeaving(r)
	case flapping:
		o.checkFlapping(r)
	case r.forced != nil && r.moves >= 3: // the override hides whether flap damping suppresses the instance
		o.adoptUnseen(r)
	default:
		o.checkSeen(r)
	}
	if r.forced == nil && !flapping {
		o.checkTruth(r)
	}
	r.countInZones(!r.leaving() && r.confirmed && !r.gone, r.silent || r.held || r.expired.set)
}

func (o instanceChecks) checkLeaving(r *record) {
	r.gone, r.held = false, false
	r.setVague(false)
	if r.state.Judged != r.said {
		o.w.fail("leaving", "%s says %s, published %+v", r.in.id, r.said, r.state)
	}
	if !r.static && r.expired.set && o.due(r.expired, slack) {
		o.w.fail("leaving", "%s has left, and is still there: %+v", r.in.id, r.state)
	}
}

// checkSeen checks an instance that flap damping does not suppress. For such an
// instance, the field Judged of the published state is the status that follows from the evidence.
func (o instanceChecks) checkSeen(r *record) {
	s := &r.state
	r.setVague(false)
	switch {
	case r.refused:
		r.gone, r.held = r.expired.set && !s.Unconfirmed, r.expired.set && s.Unconfirmed
		if s.Judged.Routable() {
			o.w.fail("refused", "%s has refused twice and was not heard since: %+v", s.ID, *s)
		}
	case s.Unconfirmed:
		o.checkUnconfirmed(r)
	case r.full && !r.expired.set:
		o.checkFull(r)
	case r.suspectFrom.set || r.expired.set:
		o.checkGone(r)
	default:
		r.gone, r.held = false, false
		o.checkSaid(r)
	}
}

// reportedStatus returns the status that the instance reported, or UNKNOWN if a configuration error
// prevents reports.
func (r *record) reportedStatus() health.Status {
	if r.config != health.CauseNone {
		return health.Unknown
	}
	return r.said
}

// matches reports whether the published status is r.said, the status that the mesh should use.
// If r.also is true, SERVING is allowed too. In this case, matches sets r.said to SERVING if
// SERVING is published.
func (o instanceChecks) matches(r *record) bool {
	s := r.state.Judged
	if r.config != health.CauseNone {
		return s == health.Unknown
	}
	if r.also && s == health.Serving {
		r.said = s
	}
	r.also = false
	return s == r.said
}

func (o instanceChecks) checkSaid(r *record) {
	s := &r.state
	if hold := o.policy().RecoverHold; r.waiting.set {
		if s.Judged == health.Serving && r.mayBelieve() {
			r.believe()
		} else if (r.source == health.SourceWatch || r.polls >= o.policy().RecoverAfter+3) && o.due(r.waiting, hold+slack) {
			o.w.fail("recovery", "%s has said SERVING for long enough, %d times: %+v", s.ID, r.polls, *s)
		}
	}
	if want := r.wantedCause(); want != health.CauseNone && r.forced == nil && s.Cause != want && !r.waiting.set {
		o.w.fail("cause", "%s is so for %s: %+v", s.ID, want, *s)
	}
	if !o.matches(r) {
		o.w.fail("said", "%s reports %s (%s), and is no suspect: %+v", s.ID, r.said, r.reportedStatus(), *s)
	}
}

// checkUnconfirmed checks an instance that is published as unconfirmed: the coordinator
// suspects it and keeps its last status.
func (o instanceChecks) checkUnconfirmed(r *record) {
	s := &r.state
	expiredGuard := s.Judged == health.Unknown && r.guardMayExpire()
	unseen := s.Judged == health.NotServing && r.suspectFrom.set && r.silent && o.w.now >= r.giveUp.ends && r.guarded(false)
	guarded := s.Cause == health.CauseGuarded || unseen || r.forced != nil && (r.held || expiredGuard)
	r.held, r.gone = guarded || r.expired.set, false
	if !r.suspectFrom.set && !r.expired.set {
		o.w.fail("suspect", "%s is unconfirmed without a reason: %+v", s.ID, *s)
	}
	if s.Cause == health.CauseGuarded && !r.guardMayHold() {
		o.w.fail("guarded", "no guard of %s has tripped, and it is %+v", s.ID, *s)
	}
	if !(guarded && expiredGuard) && !o.matches(r) {
		o.w.fail("unconfirmed", "%s reported %s, and as a suspect it is %+v", s.ID, r.reportedStatus(), *s)
	}
	if o.overdue(r) {
		o.w.fail("undetected", "%s is suspect since %v, renewed at %v, %v were forgiven: %+v", s.ID, r.suspectFrom.at, r.renewed.at, o.forgiven, *s)
	}
	if r.held && s.Judged.Routable() && r.guardMustExpire() {
		o.w.fail("held", "%s is held for ever: %+v", s.ID, *s)
	}
	r.setVague(r.suspectFrom.set && !r.silent && !r.held && o.w.now >= r.giveUp.ends)
}

// overdue reports whether the instance has been suspect for too long: the coordinator should
// have made its status worse before now. A coordinator that was late may wait longer, so overdue
// returns false for some time after lateness.
func (o instanceChecks) overdue(r *record) bool {
	after := o.policy().UnreachableAfter
	if late := o.w.coord.forgivenAt; late != 0 && o.w.now < late+after+slack {
		return false
	}
	fresh := !r.static && r.byItself && !o.due(r.renewed, ttl/2+after+slack)
	return r.pushers == 0 && !fresh && !r.byStranger && o.due(r.suspectFrom, 2*after+r.extra+slack) && r.unguardedFor(2*after+slack)
}

// checkFull checks an instance that is published as UNKNOWN, because its server had no room
// for health calls for too long.
func (o instanceChecks) checkFull(r *record) {
	if o.w.now < r.giveUp.ends {
		o.w.fail("too soon", "%s has no room for calls since %v only: %+v", r.in.id, r.suspectFrom.at, r.state)
	}
	r.noteConfiguration(health.CauseQuota)
	o.checkSaid(r)
}

// checkGone checks an instance whose status the coordinator has made worse, because the
// instance was silent or its lease has expired.
func (o instanceChecks) checkGone(r *record) {
	s := &r.state
	first, held := !r.gone, r.held
	r.gone, r.held = true, false
	after := o.policy().UnreachableAfter + r.extra
	switch {
	case r.expired.set:
		if r.forced == nil && s.Cause != health.CauseLeaseExpired {
			o.w.fail("expired", "the lease of %s has expired, and it is %+v", s.ID, *s)
		}
	case first && (r.byStranger || o.w.now < r.giveUp.ends) && !o.hiddenByGuard(r):
		o.w.fail("too soon", "%s is suspect since %v only, %v were forgiven: %+v", s.ID, r.suspectFrom.at, o.forgiven-r.suspectFrom.forgiven, *s)
	}
	if r.drained() && s.Judged == health.NotServing {
		r.refused, r.gone = true, false
		return
	}
	overForgiven := s.Judged == health.Unknown && (o.mayBeOverForgiven(r, after) || o.isOverForgiven(r.renewed, r.length) || held && r.overForgivenSinceGuard() || !first && r.overForgiven)
	r.overForgiven = overForgiven
	if s.Judged != health.NotServing && !overForgiven {
		o.w.fail("gone", "%s was given up, and is %+v", s.ID, *s)
	}
	if first && held && s.Judged == health.NotServing && r.overForgivenSinceGuard() {
		o.w.fail("over-forgiven", "a guard of %s has ended, too much lateness occurred, and it is %+v", s.ID, *s)
	}
	if first {
		o.checkGivenUp(r, overForgiven)
	}
}

// hiddenByGuard reports whether a guard may keep the last status of the instance although the
// published state does not show the guard. This is possible if the last status is NOT_SERVING.
func (o instanceChecks) hiddenByGuard(r *record) bool {
	return r.said == health.NotServing && !r.unguardedFor(2*o.policy().UnreachableAfter)
}

// checkGivenUp is called when the coordinator has made the status of an instance worse because
// of silence or an expired lease. It checks that the instance is not a living one that the
// coordinator can reach, and that no guard protects it. overForgiven is true if the status is
// UNKNOWN and not NOT_SERVING, because the coordinator itself was late for too long in total.
func (o instanceChecks) checkGivenUp(r *record, overForgiven bool) {
	r.moves++
	r.markLowered()
	since := r.in.since
	if up := o.w.coord.startedAt; up.at > since.at {
		since = up
	}
	// mend is the time that a follower may need to notice that a network path works again.
	// If the lease has expired, mend also includes the time until the client renews it.
	mend := o.policy().UnreachableAfter + slack
	if r.expired.set {
		mend = max(mend, renewEvery+slack)
	}
	if r.in.isWell() && r.lives() && !overForgiven && o.awakeFor(since) >= mend {
		o.w.fail("false transition", "%s has been well since %v, and is given up: %+v", r.in.id, since.at, r.state)
	}
	if r.guarded(true) && r.guarded(false) {
		o.w.fail("unguarded", "%s is given up under a guard: %+v", r.in.id, r.state)
	}
	if r.guardJustEnded() && !o.isOverForgiven(r.suspectFrom, r.giveUp.length) && r.suspectFrom.set && !r.state.Unconfirmed && r.countedSuspect {
		o.w.fail("guard ended", "%s is given up, and a guard has ended just now: %+v", r.in.id, r.state)
	}
}

// checkFlapping checks an instance that flap damping suppresses.
func (o instanceChecks) checkFlapping(r *record) {
	s := &r.state
	if !r.flapping.set {
		r.flapping = o.stamp()
	}
	switch {
	case r.moves < 3:
		o.w.fail("damped", "%s is held for %d turns: %+v", s.ID, r.moves, *s)
	case o.due(r.flapping, o.policy().FlapMax+slack) && o.w.now > o.w.coord.forgivenAt+slack:
		o.w.fail("swallowed", "%s is held since %v: %+v", s.ID, r.flapping.at, *s)
	case !r.lost() && !s.Unconfirmed && !r.waiting.set && !r.also && r.reportedStatus().WorseThan(s.Judged):
		o.w.fail("better", "%s is held at what is better than the %s it says: %+v", s.ID, r.reportedStatus(), *s)
	}
	o.adoptUnseen(r)
}

// adoptUnseen updates the record r while flap damping or an override hides the status that
// follows from the evidence. It does not check this status. It concludes from the published
// field Unconfirmed whether the instance is still suspect or counts as lost.
func (o instanceChecks) adoptUnseen(r *record) {
	s := &r.state
	if r.waiting.set && o.due(r.waiting, o.policy().RecoverHold) {
		r.also = true
	}
	switch {
	case r.refused && !r.expired.set:
		r.gone, r.held = false, false
	case s.Unconfirmed:
		r.gone, r.held = false, r.expired.set
	case r.full && !r.expired.set:
		r.noteConfiguration(health.CauseQuota)
	default:
		first := !r.gone
		if r.gone, r.held = r.suspectFrom.set || r.expired.set, false; r.gone && first {
			r.markLowered()
		}
	}
	r.setVague(s.Unconfirmed && r.suspectFrom.set && o.w.now >= r.giveUp.ends)
}

// checkTouched checks every instance that has had an event or a change in this call of
// core.Step. Once a second it checks all instances, since the mesh may have missed a deadline.
func (o *oracle) checkTouched() {
	o.noteGuards()
	o.noticed = o.stamp()
	for _, r := range o.touched {
		r.dirty = false
		if o.records[r.in.id] == r {
			instanceChecks{o}.check(r)
		}
	}
	changed := len(o.touched) > 0 || len(o.dirty) > 0
	o.touched = o.touched[:0]
	if o.due(o.unheard, o.policy().UnreachableAfter/2+max(o.policy().Amnesty, 0)) {
		o.scanAt, o.unheard = 0, stamp{}
	}
	if o.w.now >= o.scanAt {
		o.scanAt = o.w.now + time.Second
		o.scan()
		changed = true
	}
	if changed && o.w.fault == nil {
		o.checkZones()
		aggregateChecks{o}.checkServices()
	}
}

// scan checks all registered instances, and marks all services to be checked.
func (o *oracle) scan() {
	for _, in := range o.w.all {
		if r := o.records[in.id]; r != nil {
			instanceChecks{o}.check(r)
		}
	}
	for _, s := range o.w.services {
		o.dirty[s.Name] = true
	}
}

// checkZones compares the guards of the core with the numbers of suspect instances that the
// oracle has counted. Before it reports a fault, it checks all instances again, which updates
// these numbers.
func (o *oracle) checkZones() {
	if o.zoneFault() != "" {
		o.scan()
	}
	if fault := o.zoneFault(); fault != "" && o.vague == 0 {
		o.w.fail("guard", "%s", fault)
	}
}

func (o *oracle) zoneFault() string {
	for name, z := range o.zones {
		// A guard trips if half of the known instances are suspect. It releases when less
		// than a third of the known instances are suspect.
		must := o.policy().GuardMin > 0 && z.known >= o.policy().GuardMin && 2*z.suspects >= z.known && z.known > 0
		mustNot := z.suspects == 0 || 3*z.suspects < z.known
		if must && !z.tripped || mustNot && z.tripped {
			return fmt.Sprintf("of zone %q %d of %d are suspect; tripped: %t", name, z.suspects, z.known, z.tripped)
		}
	}
	for _, g := range o.w.coord.mesh().Guards() {
		if z := o.zone(g.Zone); g.Known != z.known || g.Suspect != z.suspects {
			return fmt.Sprintf("of zone %q %d of %d are suspect, its guard counts %d of %d", g.Zone, z.suspects, z.known, g.Suspect, g.Known)
		}
	}
	return ""
}
