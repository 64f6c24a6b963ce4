package health

import (
	"math"
	"time"
)

// What a flip weighs, from where on an instance is held, and until where.
const (
	flipPenalty  = 1000
	flapSuppress = 3000
	flapReuse    = 1500
	minDamped    = time.Millisecond // a deadline is never in the past
)

// damping is layer 4: an instance that flips again and again is held at its
// worst until it has been quiet for a while. It holds improvements only; what is
// worse than all it holds comes out at once. The scheme is that of RFC 2439.
type damping struct {
	penalty float64 // at that time; it halves every half-life
	at      moment
	seen    Status // what came in last
	worse   bool   // whether the last step was for the worse
	on      bool
	since   moment // on since
	held    Status // the worst since; what came in last while it is off
	reason  string // of that
}

// steady are the statuses between which a change is a flip, and at which an
// instance can be held: starting, and leaving on purpose, are in order.
func (s Status) steady() bool {
	return s == Serving || s == Degraded || s == NotServing || s == Unknown
}

// turns notes a step, and reports whether it goes the other way than the one
// before it: one trouble, with its steps down and up again, is two flips.
func (d *damping) turns(to Status) bool {
	from := d.seen
	d.seen = to
	if from == to || !from.steady() || !to.steady() {
		return false
	}
	before := d.worse
	d.worse = to.WorseThan(from)
	return d.worse != before
}

// take notes what comes in; it reports whether that was a flip.
func (d *damping) take(now moment, v *verdict, halfLife time.Duration) (flip bool) {
	if flip = d.turns(v.status); flip {
		d.penalty, d.at = d.left(now, halfLife)+flipPenalty, now
		if !d.on && d.penalty >= flapSuppress {
			d.on, d.since = true, now
		}
	}
	if !d.on || v.status.steady() && v.status.WorseThan(d.held) {
		d.held, d.reason = v.status, v.reason
	}
	return flip
}

// left is what is left of the penalty now.
func (d *damping) left(now moment, halfLife time.Duration) float64 {
	return d.penalty * math.Exp2(-float64(now-d.at)/float64(halfLife))
}

// length is how long it is held from now on if nothing flips any more.
func (d *damping) length(now moment, halfLife, limit time.Duration) time.Duration {
	quiet := time.Duration(float64(halfLife) * math.Log2(d.penalty/flapReuse))
	return max(minDamped, min(quiet, limit-time.Duration(now-d.since)))
}

// release lets go. Of what was held for the longest time there is no more is
// remembered than of what has become quiet.
func (d *damping) release(now moment, halfLife time.Duration) {
	d.penalty, d.at = min(d.left(now, halfLife), flapReuse), now
	d.on = false
}

// damped puts layer 4 over what the layers below say.
func (m *Mesh) damped(in *instance, v verdict) verdict {
	d, p := &in.damping, &m.policy
	if p.FlapHalfLife < 0 {
		return v
	}
	if d.take(m.now, &v, p.FlapHalfLife) && d.on {
		in.deadlines[dlDamp].arm(m.now, d.length(m.now, p.FlapHalfLife, p.FlapMax))
	}
	if !d.on || in.leaving() || v.status.WorseThan(d.held) {
		return v
	}
	return verdict{
		status: d.held, cause: CauseFlapping, reason: d.reason, unconfirmed: v.unconfirmed,
		nextAt: in.deadlines[dlDamp].at, nextCause: CauseFlapping,
	}
}
