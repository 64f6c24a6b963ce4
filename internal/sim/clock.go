package sim

import (
	"time"
	"unsafe"
)

// clock computes the times that the machine of the coordinator would read. The monotonic
// reading follows the script. The wall clock also jumps by jump.
type clock struct {
	base time.Time
	jump time.Duration
}

// newClock returns a clock whose base is the real time, since only time.Now returns a
// monotonic reading.
func newClock() *clock { return &clock{base: time.Now()} }

// at returns the time that the machine reads at the time d of the script.
func (c *clock) at(d time.Duration) time.Time {
	t := c.base.Add(d + c.jump)
	// No function of package time moves one reading without the other. The layout of
	// time.Time is the same since Go 1.9.
	(*reading)(unsafe.Pointer(&t)).monotonic -= int64(c.jump)
	return t
}

// reading has the layout of time.Time. TestClock checks this.
type reading struct {
	wall      uint64
	monotonic int64
	loc       *time.Location
}
