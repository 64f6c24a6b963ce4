package server

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// verdict is what one source says, or all of them together.
type verdict struct {
	status       health.Status
	cause        health.Cause
	reason       string
	firstFailure time.Time
}

// manual is the source that SetStatus is.
type manual struct {
	set bool
	verdict
}

// causeOf is the cause of a status set by hand.
var causeOf = map[health.Status]health.Cause{
	health.Serving: health.CauseOK, health.Degraded: health.CauseWarned, health.NotServing: health.CauseFailed,
	health.Starting: health.CauseStarting, health.Maintenance: health.CauseMaintenance,
}

// says is what t itself comes to: its own status, or while it is blocked the
// worse of that and of what blocks it.
func (t *task) says() verdict {
	v := verdict{
		status: t.machine.Status(), cause: t.machine.Cause(),
		reason: t.machine.Reason(), firstFailure: t.machine.FirstFailure(),
	}
	by := t.blockedBy()
	if by == nil {
		return v
	}
	if s := by.machine.Status(); s.WorseThan(v.status) {
		v.status = s
	}
	v.cause, v.reason = health.CauseBlocked, "blocked by "+by.name
	v.firstFailure = earlier(v.firstFailure, by.machine.FirstFailure())
	return v
}

// verdict returns what t means for the service, and whether it counts.
func (t *task) verdict() (verdict, bool) {
	v := t.says()
	if t.rules.onFail == Degrade && v.status == health.NotServing {
		v.status = health.Degraded
	}
	optional := t.newcomer || t.rules.onFail == Degrade
	matters := t.rules.onFail != Ignore && t.rules.kind != Liveness
	return v, matters && !(optional && v.status == health.Starting)
}

// explain says in words what a source that is not SERVING says.
func explain(v verdict, name string) string {
	reason := v.reason
	if reason == "" {
		reason = v.cause.String()
	}
	if name == "" {
		return reason
	}
	return name + ": " + reason
}

// earlier returns the earlier of two times that may be zero for none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
