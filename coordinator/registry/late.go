package registry

import "time"

// LateSlack is how late the owner may wake without calling it late.
const LateSlack = 500 * time.Millisecond

// maxSleep is how far ahead the owner arms at most, so that lateness is seen
// soon.
const maxSleep = time.Second

// lateness notices when we, not the world, were slow.
type lateness struct {
	due        time.Time // when the owner should be awake again at the latest
	forgivenAt time.Time // the last time it was late
}

// arm returns how long to sleep, with next (zero for never) as the deadline.
func (l *lateness) arm(now, next time.Time) time.Duration {
	sleep := maxSleep
	if !next.IsZero() {
		sleep = min(sleep, max(0, next.Sub(now)))
	}
	l.due = now.Add(sleep)
	return sleep
}

// woke returns by how much the owner is late now; 0 within the slack.
func (l *lateness) woke(now time.Time) time.Duration {
	late := now.Sub(l.due)
	if late <= LateSlack {
		return 0
	}
	l.forgivenAt = now
	return late
}

// overlapped reports whether a wait that began at since, zero for none, may
// have ended in vain because of us.
func (l *lateness) overlapped(since time.Time) bool {
	return !since.IsZero() && !l.forgivenAt.IsZero() && since.Before(l.forgivenAt)
}

// lateWakes is how often the owner was late, for the metrics.
type lateWakes struct {
	times uint64
	last  time.Time
}

func (l *lateWakes) another(now time.Time) *lateWakes {
	if l == nil {
		l = &lateWakes{}
	}
	return &lateWakes{times: l.times + 1, last: now}
}
