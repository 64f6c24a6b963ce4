package late

import (
	"slices"
	"time"
)

// Slack is the longest delay of a goroutine that is normal and does not count as lateness.
const Slack = 500 * time.Millisecond

// By returns the time from planned to now. It returns 0 if this is at most Slack, or if planned is
// the zero time.
func By(planned, now time.Time) time.Duration {
	if planned.IsZero() {
		return 0
	}
	if late := now.Sub(planned); late > Slack {
		return late
	}
	return 0
}

// maxSpans is the largest number of periods that Spans keeps. It is higher than the number of
// periods in the longest wait.
const maxSpans = 64

// Spans holds the last periods in which a goroutine was late, the oldest first. The zero value
// is empty and ready to use.
type Spans struct{ spans []span }

type span struct{ from, to time.Time }

// Note adds a period of lateness that has just ended. The period must not begin before the end of
// the period that was added last.
func (s *Spans) Note(from, to time.Time) {
	if len(s.spans) == maxSpans {
		s.spans = slices.Delete(s.spans, 0, 1)
	}
	s.spans = append(s.spans, span{from, to})
}

// Part returns the total lateness of the goroutine from the time since until now. It returns 0
// if since is the zero time.
func (s *Spans) Part(since time.Time) (late time.Duration) {
	if since.IsZero() {
		return 0
	}
	for _, sp := range s.spans {
		if sp.to.After(since) {
			late += min(sp.to.Sub(since), sp.to.Sub(sp.from))
		}
	}
	return late
}
