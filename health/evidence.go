package health

import "time"

// Evidence is what one run of a check, or one look at a target, came to.
// Time-outs, panics and staleness are fails.
type Evidence uint8

// The evidences. The zero value is none of them.
const (
	Pass Evidence = iota + 1
	Warn
	Fail
)

// String returns "pass", "warn" or "fail".
func (e Evidence) String() string {
	switch e {
	case Pass:
		return "pass"
	case Warn:
		return "warn"
	case Fail:
		return "fail"
	}
	return ""
}

// cause is the one of evidence that names none.
func (e Evidence) cause() Cause {
	switch e {
	case Pass:
		return CauseOK
	case Warn:
		return CauseWarned
	}
	return CauseFailed
}

// Observation is one piece of evidence for a Machine.
type Observation struct {
	At       time.Time
	Evidence Evidence
	Cause    Cause  // none: the evidence's own (ok, warned, failed)
	Reason   string // in words; may be empty
	// Next is when the next run should have ended at the latest (its schedule,
	// its time-out and slack). Zero: no further run is promised, and nothing
	// gets stale.
	Next time.Time
}

// Transition is a change of a Machine's published status.
type Transition struct {
	From, To Status
	At       time.Time
	Cause    Cause
	Reason   string
}
