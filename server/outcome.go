package server

import (
	"math"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/machine"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// outcome is the result of one run of a check.
type outcome struct {
	evidence machine.Evidence
	cause    health.Cause
	reason   string
	value    *reading // last value that the check has passed to Observe; nil: none
	stack    string   // stack trace of a panic; empty: no panic
	void     bool     // true if the run was cancelled, so that its outcome does not count
}

// reading is a value, with its unit, that a check has passed to Observe.
type reading struct {
	value float64
	unit  string
}

func failedOutcome(cause health.Cause, reason string) outcome {
	return outcome{evidence: machine.Fail, cause: cause, reason: wire.Clean(reason)}
}

// Result classifies the outcome of a run, for metrics and for the history.
type Result uint8

// The values of Result. NumResults is the number of these values.
const (
	Passed Result = iota
	Warned
	Failed
	TimedOut
	Panicked
	NumResults
)

// String returns the name that metrics use, such as "pass".
func (r Result) String() string {
	return [...]string{"pass", "warn", "fail", "timeout", "panic"}[r]
}

func (o *outcome) result() Result {
	switch {
	case o.evidence == machine.Pass:
		return Passed
	case o.evidence == machine.Warn:
		return Warned
	case o.cause == health.CauseTimeout:
		return TimedOut
	case o.cause == health.CausePanic:
		return Panicked
	}
	return Failed
}

// PastRun is one past run of a check: a run that has ended, or for which the server has
// stopped waiting.
type PastRun struct {
	At     time.Time // time when the run ended or the server stopped waiting for it
	Took   time.Duration
	Result Result
	Reason string // reason of the warning or failure; may be empty
}

// history has the last runs of one check. It grows up to Config.History entries, the limit.
// After that, run i of the check is stored at index i modulo the limit.
type history []compactRun

// compactRun is a PastRun in 24 bytes instead of 56.
type compactRun struct {
	at     int64   // PastRun.At as Unix time in ns
	reason *string // PastRun.Reason; nil: the reason is empty
	took   uint32  // PastRun.Took in µs
	result Result
}

// add stores run i of the check, counted from 0. limit is the largest number of stored runs.
// If limit is 0 or negative, add stores nothing.
func (h *history) add(i uint64, o *outcome, took time.Duration, now time.Time, limit int) {
	if limit <= 0 {
		return
	}
	r := compactRun{at: now.UnixNano(), took: uint32(min(took.Microseconds(), math.MaxUint32)), result: o.result()}
	if o.reason != "" {
		reason := o.reason // a pointer to the field would keep the whole outcome in memory
		r.reason = &reason
	}
	if len(*h) < limit {
		*h = append(*h, r)
		return
	}
	(*h)[i%uint64(limit)] = r
}

// all returns the stored runs, the oldest first. runs is the number of runs of the check.
func (h history) all(runs uint64) []PastRun {
	if len(h) == 0 {
		return nil
	}
	oldest := runs % uint64(len(h))
	all := make([]PastRun, 0, len(h))
	for _, r := range slices.Concat(h[oldest:], h[:oldest]) {
		run := PastRun{At: time.Unix(0, r.at), Took: time.Duration(r.took) * time.Microsecond, Result: r.result}
		if r.reason != nil {
			run.Reason = *r.reason
		}
		all = append(all, run)
	}
	return all
}

// DurationBounds has the inclusive upper bounds of the durations that CheckInfo.Durations counts.
// CheckInfo.Durations has one more entry, which counts all longer runs.
var DurationBounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// stats counts the outcomes of one check since the start of the server.
type stats struct {
	results [NumResults]uint32
	// slow counts the runs that took longer than DurationBounds[0], by duration. It is nil if
	// the check had no such run. Entry i is the value of entry i+1 of CheckInfo.Durations.
	slow *[len(DurationBounds)]uint32
	took time.Duration // sum of the durations of all runs
	// lastRun is the end of the last run. lastSuccess is the end of the last run that passed
	// or warned. Both are Unix times in ns. 0 means that there was no such run.
	lastRun, lastSuccess int64
}

func (s *stats) add(o *outcome, took time.Duration, now time.Time) {
	s.results[o.result()]++
	if i, _ := slices.BinarySearch(DurationBounds[:], took); i > 0 {
		if s.slow == nil {
			s.slow = new([len(DurationBounds)]uint32)
		}
		s.slow[i-1]++
	}
	s.took += took
	s.lastRun = now.UnixNano()
	if o.evidence != machine.Fail {
		s.lastSuccess = s.lastRun
	}
}

func (s *stats) failures() uint64 {
	return uint64(s.results[Failed]) + uint64(s.results[TimedOut]) + uint64(s.results[Panicked])
}

func (s *stats) runs() uint64 {
	return s.failures() + uint64(s.results[Passed]) + uint64(s.results[Warned])
}

// durations returns the value of CheckInfo.Durations: the number of runs in each range of
// durations.
func (s *stats) durations() (counts [len(DurationBounds) + 1]uint64) {
	counts[0] = s.runs()
	if s.slow != nil {
		for i, n := range s.slow {
			counts[i+1] = uint64(n)
			counts[0] -= uint64(n)
		}
	}
	return counts
}

// timeOf converts a Unix time in ns to a time.Time. 0 becomes the zero time.
func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// recentRuns is the number of last runs whose durations totals keeps to compute quantiles.
const recentRuns = 256

// totals counts the outcomes of all checks since the start of the server.
type totals struct {
	runs, failures uint64
	times          [recentRuns]time.Duration // ring buffer of the last durations of runs
}

func (t *totals) add(took time.Duration, failed bool) {
	t.times[t.runs%recentRuns] = took
	t.runs++
	if failed {
		t.failures++
	}
}

// metrics returns the totals in the form in which they are published. It sorts the durations
// in its receiver. The receiver is a copy, so metrics needs no lock.
func (t totals) metrics() *health.Metrics {
	times := t.times[:min(t.runs, recentRuns)]
	slices.Sort(times)
	return &health.Metrics{
		Runs: t.runs, Failures: t.failures,
		ResponseTimeP50: quantile(times, 50), ResponseTimeP99: quantile(times, 99),
	}
}

// quantile returns a percentile of sorted durations, by the nearest-rank method. It returns 0
// if there are no durations.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}
