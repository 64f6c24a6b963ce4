package sim

import (
	"time"
	"unsafe"
)

// clock makes the times a machine would read: the monotonic reading follows the
// script, the wall jumps as it is told.
type clock struct {
	base time.Time
	jump time.Duration
}

// newClock begins at a time that has a monotonic reading, whatever it is.
func newClock() *clock { return &clock{base: time.Now()} }

// at is what the machine reads so long after the start.
func (c *clock) at(d time.Duration) time.Time {
	t := c.base.Add(d + c.jump)
	// No call of package time moves one reading without the other; that is the
	// kernel's to do. This is how the two are laid out since Go 1.9.
	(*reading)(unsafe.Pointer(&t)).monotonic -= int64(c.jump)
	return t
}

// reading is time.Time. TestClock holds that it is.
type reading struct {
	wall      uint64
	monotonic int64
	loc       *time.Location
}
