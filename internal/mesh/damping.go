package mesh

import (
	"math"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

const (
	flipPenalty  = 1000             // penalty points for each flip, which is a change from better to worse or from worse to better
	flapSuppress = 3000             // penalty at which a suppression begins
	flapReuse    = 1500             // penalty at which a suppression ends
	minSuppress  = time.Millisecond // shortest suppression, so that its end is not in the past
)

// dampingLayer is the fourth of the five layers that compute the status of an instance. A flip is a
// change of the direction: the status becomes worse after it became better, or better after it
// became worse. Each flip adds to a penalty. While the penalty of an instance is high, the instance
// is suppressed: it keeps its worst status. A status that is even worse is still published. The
// method comes from RFC 2439 (route flap damping).
type dampingLayer struct {
	penalty   float64 // penalty at the moment penaltyAt; it halves in each FlapHalfLife
	penaltyAt moment

	last    health.Status // last status that the earlier layers have computed
	begun   bool          // true once the process has had a status other than STARTING
	falling bool          // true if the last change made the status worse

	suppressed bool
	since      moment        // moment when the suppression began
	worst      health.Status // worst status since the suppression began; last status if there is no suppression
	reason     string        // reason of the status in the field worst
	release    deadline      // end of the suppression; armed only during a suppression
}

func newDamping() dampingLayer { return dampingLayer{last: health.Starting} }

// inherit copies the penalty and the suppression from the earlier process with the same name.
// The change to STARTING, with which a new process begins, adds nothing to the penalty.
func (d *dampingLayer) inherit(old *dampingLayer) {
	*d = *old
	d.last, d.begun, d.falling = health.Starting, false, false
}

// observe stores the verdict v of the earlier layers. The penalty rises if the status has become
// better after it became worse, or worse after it became better.
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

// step stores a new status. flip is true if the status has become better after it became worse,
// or the reverse. So a failure and its recovery are two flips, even if each of them takes
// several changes. A change to DRAINING and the change back are also two flips.
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

// decayed returns the penalty at the moment now. The penalty halves in each halfLife.
func (d *dampingLayer) decayed(now moment, halfLife time.Duration) float64 {
	return d.penalty * math.Exp2(-float64(now-d.penaltyAt)/float64(halfLife))
}

// remaining returns how long the instance stays suppressed if it does not flip again. The
// parameter limit is the longest total duration of one suppression.
func (d *dampingLayer) remaining(now moment, halfLife, limit time.Duration) time.Duration {
	quiet := time.Duration(float64(halfLife) * math.Log2(d.penalty/flapReuse))
	return max(minSuppress, min(quiet, limit-time.Duration(now-d.since)))
}

func (d *dampingLayer) nextDeadline() moment { return d.release.next() }

// tick ends the suppression when the deadline release is due. The limit FlapMax may end a
// suppression while the penalty is still high. Therefore tick lowers the penalty to at most
// flapReuse.
func (d *dampingLayer) tick(t turn) {
	if _, due := d.release.fire(t.now); !due {
		return
	}
	d.penalty, d.penaltyAt = min(d.decayed(t.now, t.policy.FlapHalfLife), flapReuse), t.now
	d.suppressed = false
}

// apply returns the verdict v of the earlier layers. But if the instance is suppressed and v is
// not worse than the status d.worst, apply returns a verdict with the status d.worst.
func (d *dampingLayer) apply(v verdict, rep *reportLayer) verdict {
	if !d.suppressed || rep.leaving() || v.status.WorseThan(d.worst) {
		return v
	}
	return verdict{
		status: d.worst, cause: health.CauseFlapping, reason: d.reason, unconfirmed: v.unconfirmed,
		nextAt: d.release.at, nextCause: health.CauseFlapping,
	}
}
