package watch

import (
	"context"
	"time"
)

// target is what a wheel asks. It is asked by one at a time.
type target interface {
	ask() next
	// doubtful reports whether it did not answer the last time.
	doubtful() bool
	// unasked tells that it was not asked for so long.
	unasked(ctx context.Context, long time.Duration)
}

// next is what follows after a target was asked.
type next struct {
	in    time.Duration // after it should have been asked, or
	after bool          // after now: what was waited for in vain is time enough
	ends  bool          // never
}

// spoke is a target's place on a wheel, whose lock guards it.
type spoke struct {
	target
	done chan struct{} // closed when nobody asks any more

	phase     phase
	leaves    bool          // it is to be let go of
	index     int           // in the heap
	due       time.Time     // when it is to be asked
	planned   time.Duration // how long after the one before
	base      time.Time     // what the next is planned from
	asked     time.Time     // when it last was
	lane      int           // it waits in, or was taken from
	neglected bool          // that it was not asked for long was told
}

// phase is where a spoke is.
type phase uint8

const (
	phaseGone    phase = iota
	phasePlanned       // in the heap
	phaseWaiting       // in a queue
	phaseRunning       // somebody else has it
)

func newSpoke(t target) *spoke { return &spoke{target: t, done: make(chan struct{})} }

// plan says when it is to be asked.
func (s *spoke) plan(in time.Duration, from time.Time) {
	s.planned, s.due = in, from.Add(in)
}

// wait makes it one of those who answered last, or of those who did not.
func (s *spoke) wait() (lane int) {
	s.phase, s.lane = phaseWaiting, 0
	if s.doubtful() {
		s.lane = 1
	}
	return s.lane
}

// begin notes that it is asked now. It returns by how much later than planned,
// 0 within the slack: that is made up for by the next.
func (s *spoke) begin(now time.Time, slack time.Duration) (late time.Duration) {
	s.phase, s.base, s.asked, s.neglected = phaseRunning, s.due, now, false
	if late = now.Sub(s.due); late < slack {
		return 0
	}
	s.base = now
	return late
}

// asksAgain plans what follows after it was asked. One that takes longer than
// its interval is given a rest.
func (s *spoke) asksAgain(n next, now time.Time, rest time.Duration) {
	from := s.base
	if n.after {
		from = now
	}
	s.plan(n.in, from)
	if soonest := now.Add(rest); n.in > 0 && s.due.Before(soonest) {
		s.due = soonest
	}
}

// goes ends it.
func (s *spoke) goes() {
	s.phase = phaseGone
	close(s.done)
}
