package health

import (
	"math"
	"time"
)

// instance is one registered process endpoint: what its layers hold, and what
// was last published.
type instance struct {
	spec  *Spec
	state State
	svc   *service

	reported  reported  // layer 1
	reach     reach     // layer 2
	hold      hold      // layer 3
	damping   damping   // layer 4
	forced    *Override // layer 5
	pushers   int       // open streams that push its status
	confirmed bool      // some status was received under this lease
	proven    bool      // was routable under this lease
	aged      bool      // older than StartupGrace

	deadlines [numDeadlines]deadline
	fresh     deadline // until when the lease counts as being renewed
	due       moment
	heapAt    int

	// How it stands in its service's counts now.
	counted tally
	// How it is entered in its guards.
	watchedAs watched
}

// verdict is the output of the layers for one instance.
type verdict struct {
	status      Status
	cause       Cause
	reason      string
	unconfirmed bool
	nextAt      moment
	nextCause   Cause
}

const never = moment(math.MaxInt64)

func (in *instance) nextDue() moment {
	next := never
	for kind := range numDeadlines {
		if at := in.deadlines[kind].at; at != 0 && at < next {
			next = at
		}
	}
	return next
}

func (in *instance) pushed() bool { return in.pushers > 0 }

// push counts the streams: one that is dead and does not know it may end long
// after the next has begun.
func (in *instance) push(begins bool) {
	if begins {
		in.pushers++
		return
	}
	in.pushers = max(0, in.pushers-1)
}

// judged runs layers 1 to 3.
func (in *instance) judged() verdict {
	said := in.reported.verdict(in)
	if in.hold.on && !in.leaving() {
		return in.hold.over(in, said)
	}
	return in.reach.over(in, said)
}

// settle publishes what the layers now say, if it differs.
func (m *Mesh) settle(dst []Change, in *instance) []Change {
	dst = m.regard(dst, in)
	m.unhold(in)
	said := in.judged()
	in.proven = in.proven || said.status.Routable()
	v := m.damped(in, said)
	m.hasten(in)
	judged := v.status
	v = in.overridden(v)
	if in.differs(v, judged) || v.nextAt > m.now && in.state.NextAt.Before(m.wall) {
		from := in.state.Status
		in.take(m, v, judged)
		dst = m.change(dst, &in.state, from)
	}
	return m.recount(dst, in)
}

// differs reports whether v or what rides on it is news.
func (in *instance) differs(v verdict, judged Status) bool {
	s := &in.state
	return s.Status != v.status || s.Judged != judged || s.Cause != v.cause || s.Reason != v.reason ||
		s.Unconfirmed != v.unconfirmed || s.Override != in.forced || s.Spec != in.spec ||
		s.Pushed != in.pushed() || s.Source != in.reported.source || s.Unreachable != in.reach.renewing ||
		s.Proven != in.proven || in.reported.fresh || s.NextCause != v.nextCause
}

// take makes v the published state.
func (in *instance) take(m *Mesh, v verdict, judged Status) {
	s := &in.state
	if s.Status != v.status {
		s.Since = m.wall
	}
	in.trouble(m, v.status)
	s.Status, s.Judged, s.Cause, s.Reason = v.status, judged, v.cause, v.reason
	s.Unconfirmed, s.Override, s.Spec = v.unconfirmed, in.forced, in.spec
	s.Proven, s.Pushed, s.Source, s.Unreachable = in.proven, in.pushed(), in.reported.source, in.reach.renewing
	s.Checks, s.Metrics = in.reported.checks, in.reported.metrics
	s.NextAt, s.NextCause = time.Time{}, v.nextCause
	if v.nextAt != 0 {
		s.NextAt = m.time(v.nextAt)
	}
	in.reported.fresh = false
}

// trouble keeps the time of the first failure until it is over.
func (in *instance) trouble(m *Mesh, to Status) {
	s := &in.state
	switch {
	case to == Serving:
		s.FirstFailure = time.Time{}
	case !s.FirstFailure.IsZero() || (to != Degraded && to != NotServing && to != Unknown):
	case in.reported.firstFailure.IsZero():
		s.FirstFailure = m.wall
	default:
		s.FirstFailure = in.reported.firstFailure
	}
}
