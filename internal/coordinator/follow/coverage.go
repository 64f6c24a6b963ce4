package follow

import "time"

// coverageWindow is the length of the recent time in which the type coverage counts polls.
const coverageWindow = 30 * time.Second

// coverage measures which part of the planned polls was made, as the ratio of two durations.
// The interval of a poll is the planned time between this poll and the poll before. The first
// duration is the sum of the intervals of the polls that began. The second duration is the sum
// of the intervals of the polls that were due, plus the time by which polls were late. The
// ratio is 1 while polls are late by less than a tenth of the usual interval. It is 0.5 if
// every poll comes after twice its interval.
type coverage struct {
	began   time.Time
	seconds [coverageWindow / time.Second]coverageSecond // ring with one entry for each second of the window
}

// coverageSecond holds sums over the polls of one second. The interval of a poll is the time that
// was planned between this poll and the poll before.
type coverageSecond struct {
	second int64 // number of whole seconds since coverage.began
	// made is the sum of the intervals of the polls that began in this second.
	made time.Duration
	// wanted is the sum of the intervals of the polls that were due in this second. The time by
	// which polls were late in this second is added to it.
	wanted time.Duration
}

// record records a poll that begins now and was due at dueAt. planned is the planned time
// between this poll and the poll before. late is the result of pollTask.startPoll: now - dueAt,
// or 0 if this is less than the slack of the poll scheduler.
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

// at returns the ring entry for a second, or nil if the ring no longer holds this entry. second
// is the number of whole seconds since coverage.began.
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

// wantedOf returns the duration that coverage.ratio must count for a poll that is due but has
// not begun. The result is the planned interval before the poll, plus late: how late the poll
// is now. late counts up to coverageWindow. If late is longer, the interval does not count,
// because the poll was due before the window.
func wantedOf(planned, late time.Duration) (wanted time.Duration) {
	if late < coverageWindow {
		wanted = planned
	}
	return wanted + min(late, coverageWindow)
}

// ratio returns which part of the polls planned within the last coverageWindow was made, from 0
// to 1. wanted is the sum of the results of wantedOf for all polls that are due but have not
// begun. The ratio is 1 if no poll was planned.
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
