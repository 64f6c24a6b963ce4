package audit

import "time"

// maxRate is the largest number of refusals that the log writes in a second.
const maxRate = 10

// rate limits refusals. In no second are there more than maxRate.
type rate struct {
	allowed [maxRate]time.Time // times of the last refusals that were allowed; next is the oldest
	next    int
}

// allow reports whether one more refusal is allowed now, and counts it.
func (r *rate) allow(now time.Time) bool {
	if oldest := r.allowed[r.next]; !oldest.IsZero() && now.Sub(oldest) < time.Second {
		return false
	}
	r.allowed[r.next] = now
	r.next = (r.next + 1) % maxRate
	return true
}
