package follow

import "time"

// coverageWindow is the length of the recent time for which coverage counts the polls.
const coverageWindow = 30 * time.Second

// coverage measures the part of the planned polls that was made. Each poll covers the interval
// that was planned before the poll. The time by which the poll was late counts as not covered.
// The ratio is the covered time, divided by the sum of both times. It is 1 while polls are late
// by less than a tenth of the usual interval. It is 0.5 if every poll comes after twice its
// interval.
type coverage struct {
	began   time.Time
	seconds [coverageWindow / time.Second]coverageSecond // ring with one entry for each second of the window
}

// coverageSecond holds sums over the polls of one second. The interval of a poll is the time that
// was planned between this poll and the poll before.
type coverageSecond struct {
	second       int64         // number of whole seconds since coverage.began
	made, wanted time.Duration // made: intervals of the polls that began; wanted: intervals of the polls that were due, and lateness
}

// record records a poll that begins now and was due at dueAt. planned is the interval that was
// planned before the poll. late is the time by which the poll is late.
func (c *coverage) record(now, dueAt time.Time, planned, late time.Duration) {
	if s := c.at(c.second(now)); s != nil {
		s.made += planned
	}
	if s := c.at(c.second(dueAt)); s != nil {
		s.wanted += planned
	}
	for late > 0 { // distribute the lateness over the seconds in which it occurred
		second := c.second(now)
		part := min(late, now.Sub(c.began)-time.Duration(second)*time.Second+1)
		s := c.at(second)
		if s == nil {
			return
		}
		s.wanted += part
		late, now = late-part, now.Add(-part)
	}
}

// at returns the entry of a second, or nil if the ring no longer holds this entry.
func (c *coverage) at(second int64) *coverageSecond {
	s := &c.seconds[second%int64(len(c.seconds))]
	if s.second < second {
		*s = coverageSecond{second: second}
	}
	if s.second > second {
		return nil
	}
	return s
}

func (c *coverage) second(t time.Time) int64 { return max(0, int64(t.Sub(c.began)/time.Second)) }

// wantedOf returns how much of the coverageWindow a poll should have covered that is due but has
// not begun. planned is the interval before the poll, and late is how late the poll is now.
func wantedOf(planned, late time.Duration) (wanted time.Duration) {
	if late < coverageWindow {
		wanted = planned
	}
	return wanted + min(late, coverageWindow)
}

// ratio returns the covered part of the coverageWindow, from 0 to 1. wanted is the sum of the
// results of wantedOf for all polls that are due but have not begun. The ratio is 1 if no poll
// was planned.
func (c *coverage) ratio(now time.Time, wanted time.Duration) float64 {
	var made time.Duration
	oldest := c.second(now) - int64(len(c.seconds))
	for i := range c.seconds {
		if s := &c.seconds[i]; s.second > oldest {
			made += s.made
			wanted += s.wanted
		}
	}
	if wanted <= 0 {
		return 1
	}
	return min(1, float64(made)/float64(wanted))
}
