package late

import (
	"slices"
	"time"
)

// Slack is the longest delay of a goroutine that is still normal. A delay of at most Slack does not
// count as lateness.
const Slack = 500 * time.Millisecond

// By returns how late an action runs: the duration between the time planned and the time now. It
// returns 0 if this duration is at most Slack, or if planned is the zero time.
func By(planned, now time.Time) time.Duration {
	if planned.IsZero() {
		return 0
	}
	if late := now.Sub(planned); late > Slack {
		return late
	}
	return 0
}

// maxSpans is the largest number of periods that Spans keeps. The longest wait contains fewer
// periods of lateness.
const maxSpans = 64

// Spans holds the last periods in which a goroutine was late, the oldest first. The zero value
// is empty and ready to use.
type Spans struct{ spans []span }

type span struct{ from, to time.Time }

// Note adds a period of lateness that has just ended. The period must not overlap the period that
// was added before.
func (s *Spans) Note(from, to time.Time) {
	if len(s.spans) == maxSpans {
		s.spans = slices.Delete(s.spans, 0, 1)
	}
	s.spans = append(s.spans, span{from, to})
}

// Part returns the total lateness of the goroutine in a wait that began at the time start. It
// returns 0 if start is the zero time.
func (s *Spans) Part(start time.Time) (late time.Duration) {
	if start.IsZero() {
		return 0
	}
	for _, sp := range s.spans {
		if sp.to.After(start) {
			late += min(sp.to.Sub(start), sp.to.Sub(sp.from))
		}
	}
	return late
}
