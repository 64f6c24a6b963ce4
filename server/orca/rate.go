package orca

import (
	"sync/atomic"
	"time"
)

const (
	// rateWindow is the time over which rates are averaged.
	rateWindow = 10 * time.Second
	// sampleEvery is the shortest time between two samples.
	sampleEvery = time.Second
)

// rate counts calls and errors, and computes their rates. count may be called concurrently. Only
// one goroutine at a time may call perSecond.
type rate struct {
	calls, errors atomic.Uint64
	// samples has the counts at earlier times, the oldest first. The first one is at most
	// rateWindow old, or is the only one. It is never empty.
	samples []sample
}

type sample struct {
	at            time.Time
	calls, errors uint64
}

func (r *rate) begin(now time.Time) { r.samples = []sample{{at: now}} }

// perSecond returns the calls and errors per second, averaged over the last 10 s, or since the last
// call of perSecond if that was earlier.
func (r *rate) perSecond(now time.Time) (calls, errors float64) {
	current := sample{now, r.calls.Load(), r.errors.Load()}
	for len(r.samples) > 1 && now.Sub(r.samples[0].at) > rateWindow {
		r.samples = r.samples[1:]
	}
	base := r.samples[0]
	if now.Sub(r.samples[len(r.samples)-1].at) >= sampleEvery {
		r.samples = append(r.samples, current)
	}
	seconds := now.Sub(base.at).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	return float64(current.calls-base.calls) / seconds, float64(current.errors-base.errors) / seconds
}
