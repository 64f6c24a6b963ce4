package mesh

import (
	"math"
	"time"
)

// moment is a time in nanoseconds on the clock of a Mesh. The call of New has the moment 1. A
// moment is computed from monotonic clock readings, so jumps of the wall clock do not change
// it. 0 means that there is no time.
type moment int64

// lastMoment is later than every deadline. A function returns it if no deadline is armed.
const lastMoment = moment(math.MaxInt64)

// clock holds the time of the current call of a Mesh.
type clock struct {
	base time.Time // time that was passed to New
	now  moment    // moment of the current call
	wall time.Time // time when the current call was made, on the wall clock
}

func (c *clock) setNow(now time.Time) {
	c.wall = now
	// The first moment is 1, because 0 means that there is no time.
	c.now = moment(now.Sub(c.base)) + 1
}

// timeOf converts a moment to a time.
func (c *clock) timeOf(at moment) time.Time { return c.base.Add(time.Duration(at - 1)) }

// deadline is a moment at which a layer must make a decision. The zero value is not armed, which
// means that no decision is planned.
type deadline struct {
	at       moment        // moment of the decision; 0 means not armed
	length   time.Duration // time from the call of arm to the decision, without extensions
	forgiven time.Duration // sum of all extensions since arm was called
	// overForgiven is true if an extension of this deadline was shortened, because the sum of the
	// extensions has a limit.
	overForgiven bool
}

// maxForgiven limits the extensions of a deadline: their sum is at most maxForgiven times the
// length of the deadline.
const maxForgiven = 4

func (d *deadline) arm(now moment, length time.Duration) {
	*d = deadline{at: now + moment(length), length: length}
}

func (d *deadline) disarm() { *d = deadline{} }

func (d *deadline) armed() bool { return d.at != 0 }

func (d *deadline) due(now moment) bool { return d.at != 0 && d.at <= now }

// next returns the moment of d, or lastMoment if d is not armed.
func (d *deadline) next() moment {
	if d.at == 0 {
		return lastMoment
	}
	return d.at
}

// fire disarms d if d is due. fired is a copy of d as it was before the call.
func (d *deadline) fire(now moment) (fired deadline, due bool) {
	if !d.due(now) {
		return deadline{}, false
	}
	fired = *d
	d.disarm()
	return fired, true
}

// extend delays d by the lateness of this process. The sum of all extensions is at most
// maxForgiven times the length of d.
func (d *deadline) extend(lateness time.Duration) {
	d.extendWithin(lateness, maxForgiven*d.length)
}

// extendUntil works like extend, but never delays d beyond an upper limit, the parameter latest.
// Without this limit, a process that is late again and again could delay d for ever.
func (d *deadline) extendUntil(lateness time.Duration, latest moment) {
	begun := d.at - moment(d.forgiven)
	d.extendWithin(lateness, min(maxForgiven*d.length, time.Duration(latest-begun)))
}

// extendWithin delays d by the lateness of this process, which is the parameter late. The delay is
// shorter if the sum of all extensions would otherwise exceed limit.
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
