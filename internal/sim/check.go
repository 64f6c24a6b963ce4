package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// slack is how late the owner may be without being late.
const slack = time.Second

// age lets time pass for what nobody is told of, until so much of it was
// noticed.
func (o *oracle) age(r *record, until stamp) {
	if r.loaded && until.past(r.born, o.policy().UnreachableAfter/2+max(o.policy().Amnesty, 0)) {
		r.loaded, r.silent = false, r.doubt.set
	}
	if !r.static && !r.ended.set && until.past(r.renewed, r.length) {
		r.expired = o.stamp()
		r.ended = r.expired // it may have been seen by nobody when it was
		r.ended.at = r.ended.ends(r.renewed, r.length)
		r.held = r.state.Unconfirmed
		r.moves++
	}
	if r.forced != nil && until.at >= r.forcedTo {
		r.forced = nil
	}
}

// same reports whether an instance is forced as it should be.
func same(is, want *health.Override) bool {
	if is == nil || want == nil {
		return is == nil && want == nil
	}
	return is.Status == want.Status && is.Reason == want.Reason && is.SetAt.Equal(want.SetAt) && is.ExpiresAt.Equal(want.ExpiresAt)
}

// check holds one instance against all that is known of it.
func (o *oracle) check(r *record) {
	s := &r.state
	o.age(r, o.stamp())
	if !same(s.Override, r.forced) || r.forced != nil && s.Status != r.forced.Status || r.forced == nil && s.Status != s.Judged {
		o.w.fail("override", "%s is %s (judged %s) with override %+v, want %+v", s.ID, s.Status, s.Judged, s.Override, r.forced)
	}
	flapping := s.Cause == health.CauseFlapping
	if !flapping {
		r.flapping = stamp{}
	}
	switch {
	case r.leaving():
		o.checkLeaving(r)
	case flapping:
		o.checkFlapping(r)
	case r.forced != nil && r.moves >= 3: // damped or not: nobody can see
		o.adoptUnseen(r)
	default:
		o.checkSeen(r)
	}
	o.enter(r, !r.leaving() && r.confirmed && !r.gone, r.silent || r.held || r.expired.set)
}

func (o *oracle) checkLeaving(r *record) {
	r.gone, r.held = false, false
	o.unclear(r, false)
	if r.state.Judged != r.said {
		o.w.fail("leaving", "%s says %s, published %+v", r.in.id, r.said, r.state)
	}
	if !r.static && r.expired.set && o.due(r.expired, slack) {
		o.w.fail("leaving", "%s has left, and is still there: %+v", r.in.id, r.state)
	}
}

// checkSeen is where nothing lies over what it says and how it is reached.
func (o *oracle) checkSeen(r *record) {
	s := &r.state
	o.unclear(r, false)
	switch {
	case r.refused:
		r.gone, r.held = r.expired.set && !s.Unconfirmed, r.expired.set && s.Unconfirmed
		if s.Judged.Routable() {
			o.w.fail("refused", "%s has refused twice and was not heard since: %+v", s.ID, *s)
		}
	case s.Unconfirmed:
		o.checkDoubted(r)
	case r.doubt.set || r.expired.set:
		o.checkGone(r)
	default:
		r.gone, r.held = false, false
		o.checkSaid(r)
	}
}

// base is what layer 1 and configuration say.
func (r *record) base() health.Status {
	if r.config {
		return health.Unknown
	}
	return r.said
}

// matches adopts what cannot be known by evidence alone.
func (o *oracle) matches(r *record) bool {
	s := r.state.Judged
	if r.config {
		return s == health.Unknown
	}
	if r.also && s == health.Serving {
		r.said = s
	}
	r.also = false
	return s == r.said
}

func (o *oracle) checkSaid(r *record) {
	s := &r.state
	if hold := o.policy().RecoverHold; r.waiting.set {
		enough := r.source == health.SourceWatch || r.polls >= o.policy().RecoverAfter
		if s.Judged == health.Serving && enough && o.due(r.waiting, hold) {
			r.said, r.waiting = health.Serving, stamp{}
			r.moves++
		} else if (r.source == health.SourceWatch || r.polls >= o.policy().RecoverAfter+3) && o.due(r.waiting, hold+slack) {
			o.w.fail("recovery", "%s has said SERVING for long enough, %d times: %+v", s.ID, r.polls, *s)
		}
	}
	if !o.matches(r) {
		o.w.fail("said", "%s says %s (%s), and there is no doubt: %+v", s.ID, r.said, r.base(), *s)
	}
}

// checkDoubted is where the status is kept, unconfirmed.
func (o *oracle) checkDoubted(r *record) {
	s := &r.state
	faded := s.Judged == health.Unknown && o.mayFade(r)
	unseen := s.Judged == health.NotServing && o.due(r.doubt, o.policy().UnreachableAfter+r.extra) && o.guarded(r, false)
	guarded := s.Cause == health.CauseGuarded || unseen || r.forced != nil && (r.held || faded)
	r.held, r.gone = guarded || r.expired.set, false
	if !r.doubt.set && !r.expired.set {
		o.w.fail("doubt", "%s is in doubt without a reason: %+v", s.ID, *s)
	}
	if s.Cause == health.CauseGuarded && !o.mayBeHeld(r) {
		o.w.fail("guarded", "no guard has been over %s, and it is %+v", s.ID, *s)
	}
	if !(guarded && faded) && !o.matches(r) {
		o.w.fail("doubted", "%s said %s, in doubt it is %+v", s.ID, r.base(), *s)
	}
	if o.overdue(r) {
		o.w.fail("undetected", "%s is in doubt since %v, renewed at %v, %v were forgiven: %+v", s.ID, r.doubt.at, r.renewed.at, o.forgiven, *s)
	}
	if r.held && s.Judged.Routable() && o.mustFade(r) {
		o.w.fail("held", "%s is held for ever: %+v", s.ID, *s)
	}
	o.unclear(r, r.doubt.set && !r.silent && !r.held && o.due(r.doubt, o.policy().UnreachableAfter))
}

// overdue reports whether r must have been given up by now. Who was late just
// now is not well, and is more patient from then on.
func (o *oracle) overdue(r *record) bool {
	after := o.policy().UnreachableAfter
	if late := o.w.coord.forgivenAt; late != 0 && o.w.now < late+after+slack {
		return false
	}
	fresh := !r.static && r.byItself && !o.due(r.renewed, ttl/2+after+slack)
	return r.pushers == 0 && !fresh && o.due(r.doubt, 2*after+r.extra+slack) && o.unguardedFor(r, 2*after+slack)
}

// checkGone is where it was given up for its silence.
func (o *oracle) checkGone(r *record) {
	s := &r.state
	first, held := !r.gone, r.held
	r.gone, r.held = true, false
	after := o.policy().UnreachableAfter + r.extra
	switch {
	case r.expired.set:
		if r.forced == nil && s.Cause != health.CauseLeaseExpired {
			o.w.fail("expired", "its lease has ended, and %s is %+v", s.ID, *s)
		}
	case !o.due(r.doubt, after):
		o.w.fail("too soon", "%s is in doubt since %v only, %v were forgiven: %+v", s.ID, r.doubt.at, o.forgiven-r.doubt.forgiven, *s)
	}
	worn := s.Judged == health.Unknown && (o.worn(r.doubt, after) || o.worn(r.renewed, r.length))
	if s.Judged != health.NotServing && !worn {
		o.w.fail("gone", "%s was given up, and is %+v", s.ID, *s)
	}
	if first && held && s.Judged == health.NotServing && o.wornSinceLetGo(r) {
		o.w.fail("worn", "%s was let go, more was to be forgiven than may be, and it is %+v", s.ID, *s)
	}
	if first {
		o.given(r, worn)
	}
}

// given holds the truth against what was made of its silence. Where more was to
// be forgiven than may be, UNKNOWN is the truth: we know nothing.
func (o *oracle) given(r *record, worn bool) {
	r.moves++
	r.lower()
	since := r.in.since
	if up := o.w.coord.startedAt; up.at > since.at {
		since = up
	}
	// As long a follower may need to find a path that is well again.
	if mend := o.policy().UnreachableAfter + slack; r.in.well() && !worn && o.awakeFor(since) >= mend {
		o.w.fail("false transition", "%s has been well since %v, and is given up: %+v", r.in.id, since.at, r.state)
	}
	if o.guarded(r, true) && o.guarded(r, false) {
		o.w.fail("unguarded", "%s is given up under a guard: %+v", r.in.id, r.state)
	}
	if o.justLetGo(r) && r.doubt.set && !r.state.Unconfirmed && r.doubted {
		o.w.fail("let go", "%s is given up, and a guard has let go just now: %+v", r.in.id, r.state)
	}
}

// checkFlapping is where it is held at its worst.
func (o *oracle) checkFlapping(r *record) {
	s := &r.state
	if !r.flapping.set {
		r.flapping = o.stamp()
	}
	switch {
	case r.moves < 3:
		o.w.fail("damped", "%s is held for %d turns: %+v", s.ID, r.moves, *s)
	case o.due(r.flapping, o.policy().FlapMax+slack) && o.w.now > o.w.coord.forgivenAt+slack:
		o.w.fail("swallowed", "%s is held since %v: %+v", s.ID, r.flapping.at, *s)
	case !r.lost() && !s.Unconfirmed && !r.waiting.set && !r.also && r.base().WorseThan(s.Judged):
		o.w.fail("better", "%s is held at what is better than the %s it says: %+v", s.ID, r.base(), *s)
	}
	o.adoptUnseen(r)
}

// adoptUnseen takes over what still can be seen under damping: whether it is in
// doubt, or was given up.
func (o *oracle) adoptUnseen(r *record) {
	s := &r.state
	if r.waiting.set && o.due(r.waiting, o.policy().RecoverHold) {
		r.also = true
	}
	switch {
	case r.refused && !r.expired.set:
		r.gone, r.held = false, false
	case s.Unconfirmed:
		r.gone, r.held = false, r.expired.set
	default:
		first := !r.gone
		if r.gone, r.held = r.doubt.set || r.expired.set, false; r.gone && first {
			r.lower()
		}
	}
	o.unclear(r, s.Unconfirmed && o.due(r.doubt, o.policy().UnreachableAfter))
}
