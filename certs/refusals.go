package certs

import (
	"sync"
	"time"
)

// logEvery is the least time between two records about refused handshakes.
const logEvery = 10 * time.Second

// refusals bounds the records about refused handshakes, because anybody can cause one.
type refusals struct {
	mu      sync.Mutex
	logged  time.Time
	omitted int // number of refusals since the last record
}

// due reports whether a refusal may be logged at the time now, and how many were not.
func (r *refusals) due(now time.Time) (omitted int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.logged.IsZero() && now.Sub(r.logged) < logEvery {
		r.omitted++
		return 0, false
	}
	omitted, r.logged, r.omitted = r.omitted, now, 0
	return omitted, true
}
