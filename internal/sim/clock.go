package sim

import (
	"time"
	"unsafe"
)

// clock returns the times that the simulated coordinator reads. The monotonic reading follows
// the time of the script. The wall clock reading differs by the sum of all jumps of the wall
// clock.
type clock struct {
	base time.Time
	jump time.Duration
}

// newClock returns a clock whose base is the real time, since only time.Now returns a
// monotonic reading.
func newClock() *clock { return &clock{base: time.Now()} }

// at returns what the coordinator reads from its clocks when the duration d has passed since
// the begin of the script.
func (c *clock) at(d time.Duration) time.Time {
	t := c.base.Add(d + c.jump)
	// No function of package time changes the monotonic reading alone, so this line changes
	// it in memory. The layout of time.Time has been the same since Go 1.9.
	(*reading)(unsafe.Pointer(&t)).monotonic -= int64(c.jump)
	return t
}

// reading has the memory layout of time.Time. TestClock checks this.
type reading struct {
	wall      uint64
	monotonic int64
	loc       *time.Location
}
