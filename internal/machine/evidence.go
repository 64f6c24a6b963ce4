package machine

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Evidence is the result of one run of a check. A time-out, a panic and a missing run count
// as Fail. The zero value means that there is no evidence.
type Evidence uint8

// The kinds of evidence.
const (
	Pass Evidence = iota + 1
	Warn
	Fail
)

// String returns "pass", "warn" or "fail". It returns "" for other values.
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

// cause returns the usual cause for the evidence e. It is used if an Observation has no cause.
func (e Evidence) cause() health.Cause {
	switch e {
	case Pass:
		return health.CauseOK
	case Warn:
		return health.CauseWarned
	}
	return health.CauseFailed
}

// Observation is the result of one run of a check, with its time and its cause.
type Observation struct {
	At       time.Time
	Evidence Evidence
	Cause    health.Cause // cause of the evidence; CauseNone means the usual cause for Evidence
	Reason   string       // cause in words; may be empty
	// Next is the time by which the next run must have ended. It includes the time-out of the
	// next run and some slack. Without a result until then, the evidence becomes stale. Zero
	// means that no run is planned, so that the evidence does not become stale.
	Next time.Time
}

// Transition is a change of the status that a Machine publishes.
type Transition struct {
	From, To health.Status
	At       time.Time
	Cause    health.Cause
	Reason   string
}

// EvidenceOf returns the evidence for the error that a check has returned. nil is a Pass, a
// warning ([health.IsWarning]) is a Warn, and every other error is a Fail.
func EvidenceOf(err error) Evidence {
	switch {
	case err == nil:
		return Pass
	case health.IsWarning(err):
		return Warn
	}
	return Fail
}
