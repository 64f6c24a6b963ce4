package server

import "time"

// MaxBreak is the longest time between the probes of an open breaker, unless
// Every is longer.
const MaxBreak = time.Minute

// broken reports whether t's breaker is open: so many runs failed in a row that
// it is only probed now.
func (t *task) broken() bool {
	return t.rules.breakAfter > 0 && t.machine.Fails() >= t.rules.breakAfter
}

// backOff is the time from one probe to the next, after so many failures in a
// row: Every doubled each time, up to MaxBreak.
func (r *rules) backOff(fails int) time.Duration {
	wait := r.every
	for range min(fails-r.breakAfter+1, 16) {
		wait = min(2*wait, max(MaxBreak, r.every))
	}
	return wait
}
