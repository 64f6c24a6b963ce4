package mesh

import (
	"math"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	flipPenalty  = 1000             // penalty that one flip adds
	flapSuppress = 3000             // penalty from which an instance is suppressed
	flapReuse    = 1500             // penalty at which the suppression ends
	minSuppress  = time.Millisecond // shortest suppression, so that its end is not in the past
)

// dampingLayer is the fourth layer. It suppresses an instance that flips often: the instance
// keeps its worst status until its penalty has decayed. A status that is even worse is not
// suppressed. The method comes from RFC 2439 (route flap damping).
type dampingLayer struct {
	penalty   float64 // penalty at the moment penaltyAt; it halves in each FlapHalfLife
	penaltyAt moment

	last    health.Status // status that the layers before have computed last
	begun   bool          // true after the first status of the process that is not STARTING
	falling bool          // true if the last change of the status was for the worse

	suppressed bool
	since      moment        // moment when the suppression began
	worst      health.Status // worst status since then; the last status if not suppressed
	reason     string        // reason of the status worst
	release    deadline      // end of the suppression; not armed if not suppressed
}

func newDamping() dampingLayer { return dampingLayer{last: health.Starting} }

// inherit copies the penalty and the suppression of the process that had the same name
// before. The change to STARTING does not count as a flip.
func (d *dampingLayer) inherit(old *dampingLayer) {
	*d = *old
	d.last, d.begun, d.falling = health.Starting, false, false
}

// observe stores the verdict of the layers before. A flip raises the penalty.
func (d *dampingLayer) observe(t turn, v *verdict) {
	halfLife := t.policy.FlapHalfLife
	if halfLife < 0 {
		return
	}
	flip := d.step(v.status)
	if flip {
		d.penalty, d.penaltyAt = d.decayed(t.now, halfLife)+flipPenalty, t.now
		if !d.suppressed && d.penalty >= flapSuppress {
			d.suppressed, d.since = true, t.now
		}
	}
	if !d.suppressed || v.status.WorseThan(d.worst) {
		d.worst, d.reason = v.status, v.reason
	}
	if flip && d.suppressed {
		d.release.arm(t.now, d.remaining(t.now, halfLife, t.policy.FlapMax))
	}
}

// step stores a status. flip reports whether the status has become better after it became
// worse, or the reverse. So a failure and its recovery are two flips, even if each of them
// takes several changes. To drain and to come back are two flips too.
func (d *dampingLayer) step(to health.Status) (flip bool) {
	from, begun := d.last, d.begun
	d.last, d.begun = to, begun || to != health.Starting
	worse := to.WorseThan(from)
	if !begun || !worse && !from.WorseThan(to) {
		return false
	}
	before := d.falling
	d.falling = worse
	return worse != before
}

// decayed returns the penalty at a moment.
func (d *dampingLayer) decayed(now moment, halfLife time.Duration) float64 {
	return d.penalty * math.Exp2(-float64(now-d.penaltyAt)/float64(halfLife))
}

// remaining returns the time for which the instance stays suppressed if it does not flip
// again. The whole suppression is not longer than limit.
func (d *dampingLayer) remaining(now moment, halfLife, limit time.Duration) time.Duration {
	quiet := time.Duration(float64(halfLife) * math.Log2(d.penalty/flapReuse))
	return max(minSuppress, min(quiet, limit-time.Duration(now-d.since)))
}

func (d *dampingLayer) nextDeadline() moment { return d.release.next() }

// tick ends the suppression if release is due. It lowers the penalty to at most flapReuse,
// because FlapMax may end the suppression earlier than the decay of the penalty.
func (d *dampingLayer) tick(t turn) {
	if _, due := d.release.fire(t.now); !due {
		return
	}
	d.penalty, d.penaltyAt = min(d.decayed(t.now, t.policy.FlapHalfLife), flapReuse), t.now
	d.suppressed = false
}

// apply returns v, or the worst status if the instance is suppressed and v is not worse.
func (d *dampingLayer) apply(v verdict, rep *reportLayer) verdict {
	if !d.suppressed || rep.leaving() || v.status.WorseThan(d.worst) {
		return v
	}
	return verdict{
		status: d.worst, cause: health.CauseFlapping, reason: d.reason, unconfirmed: v.unconfirmed,
		nextAt: d.release.at, nextCause: health.CauseFlapping,
	}
}
