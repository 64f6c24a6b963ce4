package server

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// verdict is the status of one check, of one status set by hand, or of one served
// service, with its explanation.
type verdict struct {
	status       health.Status
	cause        health.Cause
	reason       string
	firstFailure time.Time // time of the first failure of the present trouble; zero: none
}

// manualStatus is a status that SetStatus or SetServingStatus has set.
type manualStatus struct {
	set bool // false: no status was set
	verdict
}

// manualCauses maps each status that SetStatus accepts to its cause.
var manualCauses = map[health.Status]health.Cause{
	health.Serving: health.CauseOK, health.Degraded: health.CauseWarned, health.NotServing: health.CauseFailed,
	health.Starting: health.CauseStarting, health.Maintenance: health.CauseMaintenance,
}

// sentence returns the reason of a verdict that is not SERVING, after the name of its check.
// name is "" if the verdict belongs to a status that was set by hand.
func (v *verdict) sentence(name string) string {
	reason := v.reason
	if reason == "" {
		reason = v.cause.String()
	}
	if name == "" {
		return reason
	}
	return name + ": " + reason
}

// statusCounts is the number of checks that have each status.
type statusCounts [health.NumStatuses]int

// worst returns the worst status that at least one check has. found is false if c counts no
// check.
func (c *statusCounts) worst() (worst health.Status, found bool) {
	for i, n := range c {
		if s := health.Status(i); n > 0 && (!found || s.WorseThan(worst)) {
			worst, found = s, true
		}
	}
	return worst, found
}

// allPassed reports whether no check is NOT_SERVING and each check has run.
func (c *statusCounts) allPassed() bool {
	return c[health.NotServing] == 0 && c[health.Starting] == 0
}

// liveness returns the status of /livez and of names of kind Liveness. Checks that have
// not run yet do not count, because they are no reason to restart the process.
func (c statusCounts) liveness() health.Status {
	c[health.Starting] = 0
	if worst, found := c.worst(); found {
		return worst
	}
	return health.Serving
}

// earlier returns the earlier of two times. If one of them is zero, it returns the other.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
