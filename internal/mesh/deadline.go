package mesh

import (
	"math"
	"time"
)

// moment is a time in ns on the clock of a Mesh. The moment of New is 1. A moment follows the
// monotonic reading of the clock, so that jumps of the wall clock do not change it. 0 means
// that there is no time.
type moment int64

// never is the last moment. A deadline at never is never due.
const never = moment(math.MaxInt64)

// clock holds the time of the current call of a Mesh.
type clock struct {
	base time.Time // time that New received
	now  moment    // time of the current call
	wall time.Time // time of the current call, with its wall clock reading
}

func (c *clock) setNow(now time.Time) {
	c.wall = now
	// The first moment is 1, because 0 is no time.
	c.now = moment(now.Sub(c.base)) + 1
}

// timeOf returns the time of a moment.
func (c *clock) timeOf(at moment) time.Time { return c.base.Add(time.Duration(at - 1)) }

// deadline is a moment at which a layer makes a decision. The zero value is not armed.
type deadline struct {
	at       moment        // moment of the decision; 0: not armed
	length   time.Duration // time from arm to at, without extensions
	forgiven time.Duration // sum of all extensions since arm
	// overForgiven reports that an extension was shortened, because the limit was reached.
	overForgiven bool
}

// maxForgiven times the length of a deadline is the largest sum of its extensions.
const maxForgiven = 4

func (d *deadline) arm(now moment, length time.Duration) {
	*d = deadline{at: now + moment(length), length: length}
}

func (d *deadline) disarm() { *d = deadline{} }

func (d *deadline) armed() bool { return d.at != 0 }

func (d *deadline) due(now moment) bool { return d.at != 0 && d.at <= now }

// next returns the moment of d, or never if d is not armed.
func (d *deadline) next() moment {
	if d.at == 0 {
		return never
	}
	return d.at
}

// fire disarms d if it is due. fired is a copy of d before that.
func (d *deadline) fire(now moment) (fired deadline, due bool) {
	if !d.due(now) {
		return deadline{}, false
	}
	fired = *d
	d.disarm()
	return fired, true
}

// extend delays d by late, the lateness of the owner. All extensions together are at most
// maxForgiven times the length of d.
func (d *deadline) extend(late time.Duration) {
	d.extendWithin(late, maxForgiven*d.length)
}

// extendUntil works like extend, but does not delay d beyond the moment last. Without this
// limit, recurring lateness could delay d for ever.
func (d *deadline) extendUntil(late time.Duration, last moment) {
	begun := d.at - moment(d.forgiven)
	d.extendWithin(late, min(maxForgiven*d.length, time.Duration(last-begun)))
}

// extendWithin delays d by late. It shortens the delay so that the sum of all extensions is
// at most limit.
func (d *deadline) extendWithin(late, limit time.Duration) {
	if d.at == 0 {
		return
	}
	if left := max(0, limit-d.forgiven); late > left {
		late, d.overForgiven = left, true
	}
	d.at += moment(late)
	d.forgiven += late
}
