package server

import (
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// DurationBounds are the upper bounds, inclusive, of CheckInfo.Durations.
var DurationBounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// CheckInfo is a check as its own process may see it.
type CheckInfo struct {
	health.CheckState
	Kind Kind
	// LastSuccess is when it last passed or warned; zero if never.
	LastSuccess time.Time
	// Overdue: a run has not returned in time, and still runs.
	Overdue bool
	// BreakerOpen: so many runs failed in a row that it is only probed now.
	BreakerOpen bool
	// Results counts the runs since the start by what they came to.
	Results [NumResults]uint64
	// Durations counts them by how long they took: Durations[i] took no longer
	// than DurationBounds[i], and longer than the bound before; the last one,
	// longer than all.
	Durations [len(DurationBounds) + 1]uint64
	// Took is the sum of all durations.
	Took time.Duration
}

// Result is what a run came to.
type Result uint8

// The results.
const (
	Passed Result = iota
	Warned
	Failed
	TimedOut
	Panicked
	NumResults
)

// String returns the name used in metrics.
func (r Result) String() string {
	return [...]string{"pass", "warn", "fail", "timeout", "panic"}[r]
}

func resultOf(r *result) Result {
	switch {
	case r.evidence == health.Pass:
		return Passed
	case r.evidence == health.Warn:
		return Warned
	case r.cause == health.CauseTimeout:
		return TimedOut
	case r.cause == health.CausePanic:
		return Panicked
	}
	return Failed
}

// tally is the figures of one check since the start.
type tally struct {
	results   [NumResults]uint32
	durations [len(DurationBounds) + 1]uint32
	took      time.Duration
	// When the last run ended, and the last that passed or warned: Unix time in
	// ns, 0 for never.
	lastRun, lastSuccess int64
}

func (c *tally) add(r *result, took time.Duration, now time.Time) {
	c.results[resultOf(r)]++
	i, _ := slices.BinarySearch(DurationBounds[:], took)
	c.durations[i]++
	c.took += took
	c.lastRun = now.UnixNano()
	if r.evidence != health.Fail {
		c.lastSuccess = c.lastRun
	}
}

func (c *tally) failures() uint64 {
	return uint64(c.results[Failed]) + uint64(c.results[TimedOut]) + uint64(c.results[Panicked])
}

func (c *tally) runs() uint64 {
	return c.failures() + uint64(c.results[Passed]) + uint64(c.results[Warned])
}

func (c *tally) last() time.Time { return fromUnix(c.lastRun) }

func fromUnix(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// Checks returns every check, in the order of Add. It runs none.
func (s *Server) Checks() []CheckInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]CheckInfo, len(s.boards[0].members))
	for i, t := range s.boards[0].members {
		all[i] = t.info()
	}
	return all
}

func (t *task) info() CheckInfo {
	info := CheckInfo{
		CheckState: t.state(), Kind: t.rules.kind, LastSuccess: fromUnix(t.tally.lastSuccess),
		Overdue: t.phase == stuck, BreakerOpen: t.broken(), Took: t.tally.took,
	}
	for i, n := range t.tally.results {
		info.Results[i] = uint64(n)
	}
	for i, n := range t.tally.durations {
		info.Durations[i] = uint64(n)
	}
	return info
}

// Statuses returns what is published of every name, Config.Service first.
func (s *Server) Statuses() []health.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]health.State, len(s.boards))
	for i, b := range s.boards {
		all[i] = b.published
	}
	return all
}
