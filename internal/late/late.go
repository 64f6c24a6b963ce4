package late

import (
	"slices"
	"time"
)

// Slack is the largest delay that does not count as lateness.
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

// maxSpans is the largest number of spans that Spans keeps. Even a long wait contains fewer spans.
const maxSpans = 64

// Spans holds the most recent periods in which the goroutine was late, the oldest first. The zero
// value holds none.
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

// Part returns how long the goroutine was late since the time since. It returns 0 if since is the
// zero time.
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
