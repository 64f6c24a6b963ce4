package core

import (
	"time"

	"github.com/meshhealth/meshhealth/internal/late"
)

// MaxSleep is the longest time that a caller may plan between two Steps. It is short, so that
// lateness is noticed soon.
const MaxSleep = time.Second

// lateness measures how late each Step is called. A Step is late if the process was
// stopped or got no CPU time. The zero value never counts the first Step as late.
type lateness struct {
	due        time.Time // time at which the next Step is due; zero before the first Step
	late.Spans           // recent periods in which a Step was due and was not called
}

// armUntil sets when the next Step is due, and returns the time from now until then. deadline is
// the earliest deadline of the mesh, or the zero time if the mesh has no deadline.
func (l *lateness) armUntil(now, deadline time.Time) time.Duration {
	sleep := MaxSleep
	if !deadline.IsZero() {
		sleep = min(sleep, max(0, deadline.Sub(now)))
	}
	l.due = now.Add(sleep)
	return sleep
}

// noteWake returns how late a Step at the time now is, and records the delay. A delay of at
// most late.Slack counts as 0.
func (l *lateness) noteWake(now time.Time) time.Duration {
	by := late.By(l.due, now)
	if by > 0 {
		l.Note(l.due, now)
	}
	return by
}
