package server

import (
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
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

// judge returns what all sources say together.
func (s *Server) judge() verdict {
	if s.leaving {
		return verdict{status: health.Draining, cause: health.CauseDraining}
	}
	var worst verdict
	var reasons []string
	said := false
	for v, name := range s.sources() {
		if v.status != health.Serving {
			reasons = append(reasons, explain(v, name))
			worst.firstFailure = earlier(worst.firstFailure, v.firstFailure)
		}
		if !said || v.status.WorseThan(worst.status) {
			worst.status, worst.cause = v.status, v.cause
		}
		said = true
	}
	switch {
	case !said && s.schedule.started:
		return verdict{status: health.Serving, cause: health.CauseOK}
	case !said:
		return verdict{status: health.Starting, cause: health.CauseStarting}
	case worst.status == health.Serving:
		worst.reason = s.manual.reason
		return worst
	}
	worst.reason = wire.Clean(strings.Join(reasons, "; "))
	return worst
}

// sources yields what counts, with its name: SetStatus has none.
func (s *Server) sources() func(yield func(verdict, string) bool) {
	return func(yield func(verdict, string) bool) {
		if s.manual.set && !yield(s.manual.verdict, "") {
			return
		}
		for _, t := range s.tasks {
			if v, counts := t.verdict(); counts && !yield(v, t.check.Name) {
				return
			}
		}
	}
}

// verdict returns what t means for the service, and whether it counts.
func (t *task) verdict() (verdict, bool) {
	v := verdict{
		status: t.machine.Status(), cause: t.machine.Cause(),
		reason: t.machine.Reason(), firstFailure: t.machine.FirstFailure(),
	}
	if t.check.OnFail == Degrade && v.status == health.NotServing {
		v.status = health.Degraded
	}
	optional := t.newcomer || t.check.OnFail == Degrade
	return v, t.check.OnFail != Ignore && !(optional && v.status == health.Starting)
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
