package watch

import "time"

// coverageWindow is how far back coverage looks.
const coverageWindow = 30 * time.Second

// coverage is how much of the time polls were to account for they did: each that
// is made accounts for the interval it was planned after; for the time it was
// late by nobody does. As long as none is later than can be made up for, it is
// 1; when all come after twice their interval, a half.
type coverage struct {
	began   time.Time
	seconds [coverageWindow / time.Second]entry
}

// entry is what belongs to one second.
type entry struct {
	second       int64
	made, wanted time.Duration
}

// book notes a poll that is made now.
func (c *coverage) book(now, due time.Time, planned, late time.Duration) {
	if e := c.at(c.second(now)); e != nil {
		e.made += planned
	}
	if e := c.at(c.second(due)); e != nil {
		e.wanted += planned
	}
	for late > 0 { // each second gets its part of it
		second := c.second(now)
		part := min(late, now.Sub(c.began)-time.Duration(second)*time.Second+1)
		e := c.at(second)
		if e == nil {
			return
		}
		e.wanted += part
		late, now = late-part, now.Add(-part)
	}
}

// at returns a second's entry, nil if it is forgotten.
func (c *coverage) at(second int64) *entry {
	e := &c.seconds[second%int64(len(c.seconds))]
	if e.second < second {
		*e = entry{second: second}
	}
	if e.second > second {
		return nil
	}
	return e
}

func (c *coverage) second(t time.Time) int64 { return max(0, int64(t.Sub(c.began)/time.Second)) }

// waits returns what one that is still to be made is to account for.
func (c *coverage) waits(planned, late time.Duration) (wanted time.Duration) {
	if late < coverageWindow {
		wanted = planned
	}
	return wanted + min(late, coverageWindow)
}

// ratio is from 0 to 1; wanted is what those that wait now are to account for.
// It is 1 when there was nothing to poll.
func (c *coverage) ratio(now time.Time, wanted time.Duration) float64 {
	var made time.Duration
	oldest := c.second(now) - int64(len(c.seconds))
	for i := range c.seconds {
		if e := &c.seconds[i]; e.second > oldest {
			made += e.made
			wanted += e.wanted
		}
	}
	if wanted <= 0 {
		return 1
	}
	return min(1, float64(made)/float64(wanted))
}
