package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// reportLayer is the first of the five layers that compute the status of an instance. It has the
// last status that the instance has reported.
//
// A worse status counts at once. A better status of a server of this library counts at once too,
// because that server applies its own thresholds. SERVING of a standard server of grpc.health.v1,
// called stock here, must wait. It counts after the server has answered SERVING for RecoverHold and
// in RecoverAfter polls.
type reportLayer struct {
	// The next fields have the status that counts, and the details of its report.
	status       health.Status
	cause        health.Cause
	reason       string
	firstFailure time.Time
	checks       []health.CheckState
	metrics      *health.Metrics
	source       health.Source

	via  string // Report.Via of the last report: why there is no better source
	seen bool   // true after the first status has counted, or after the instance was declared dead
	// lowered is true if status is NotServing because the instance was declared dead.
	lowered bool
	// changed is true if the state must be published because checks have changed.
	changed bool

	// waiting is true while a standard server of grpc.health.v1 has answered SERVING, but this
	// status does not count yet. The next three fields belong to this wait.
	waiting bool
	waited  bool     // true if RecoverHold has passed since the field waiting became true
	polls   int      // number of answers SERVING since the field waiting became true
	recover deadline // moment when RecoverHold has passed since the field waiting became true

	// received is the last received status, and receivedFrom is its source. Both are valid if
	// hasReceived is true. received differs from status in three cases: the received status does
	// not count yet, the instance was declared dead, or the lease had ended.
	received     health.Status
	receivedFrom health.Source
	hasReceived  bool

	confirmed bool // true after a status was received, or after a recent status was loaded from the store
	unheard   bool // true if no status was received since the registration
	named     bool // true if the target has at least once answered for its health name, the service name in health calls
}

// newReport returns the report layer of a new instance, which has reported nothing.
func newReport() reportLayer {
	return reportLayer{status: health.Starting, cause: health.CauseStarting, unheard: true}
}

// restore uses the status that was loaded from the store, if it is recent enough. Otherwise the
// status becomes UNKNOWN.
func (r *reportLayer) restore(l *Loaded) {
	r.unheard, r.named = l.Unheard, l.Named
	switch {
	case l.Status == health.Starting:
	case l.Trusted:
		r.status, r.cause, r.reason, r.seen = l.Status, l.Cause, l.Reason, true
		if r.cause == health.CauseNone || r.cause == health.CauseGuarded || r.cause == health.CauseFlapping {
			r.cause = r.status.Cause() // a stored cause may be from a guard or flap damping, which now have no effect
		}
		r.confirmed = !l.Unheard
		if l.Status != health.Serving {
			r.firstFailure = l.Since
		}
	default:
		r.status, r.cause = health.Unknown, health.CauseUnconfirmed
	}
}

// observe handles found, which is what the reach layer has concluded from the event ev. If ev is
// nil, the reach layer has concluded it from the end of a deadline.
func (r *reportLayer) observe(t turn, ev *Event, found finding) {
	switch found {
	case foundAnswer:
		r.receiveAnswer(t, ev)
	case foundUnprovenAnswer:
		if ev.Kind == EventReport {
			r.remember(&ev.Report)
		}
	case foundFailure:
		r.receive(t, &Report{
			Source: ev.Report.Source, Via: ev.Report.Via, Status: health.NotServing, Cause: health.CauseFailed, Reason: ev.Reason,
		})
	case foundSuspicion, foundLoss, foundDeath:
		r.stopWaiting()
	}
}

// receiveAnswer handles an answer of the instance. The answer contains a status, or confirms the
// last received status.
func (r *reportLayer) receiveAnswer(t turn, ev *Event) {
	switch {
	case ev.Kind == EventReport:
		r.receive(t, &ev.Report)
	case r.hasReceived && (r.lowered || r.received != r.status):
		r.receive(t, &Report{Source: r.receivedFrom, Status: r.received, Via: r.via})
	}
}

// receive handles a report with a status. The status counts at once, unless mustWait returns true.
func (r *reportLayer) receive(t turn, rep *Report) {
	r.confirmed, r.unheard = true, false
	r.remember(rep)
	r.via = rep.Via
	if r.mustWait(t, rep) {
		r.wait(t, rep.Source)
		return
	}
	r.stopWaiting()
	r.accept(rep)
}

func (r *reportLayer) remember(rep *Report) {
	r.received, r.receivedFrom, r.hasReceived = rep.Status, rep.Source, true
	r.named = r.named || rep.Named
}

func (r *reportLayer) mustWait(t turn, rep *Report) bool {
	return isStock(rep.Source) && rep.Status == health.Serving && r.seen && r.status != health.Serving && t.policy.RecoverHold > 0
}

// wait handles SERVING of a standard server of grpc.health.v1. This status does not count yet. The
// wait ends after RecoverHold and, for a polled target, after RecoverAfter polls.
func (r *reportLayer) wait(t turn, source health.Source) {
	r.source = source
	if !r.waiting {
		r.waiting, r.waited, r.polls = true, false, 0
		r.recover.arm(t.now, t.policy.RecoverHold)
	}
	r.polls++
	if source == health.SourcePoll && r.polls < t.policy.RecoverAfter {
		return
	}
	if r.waited {
		r.acceptWaiting()
	}
}

func (r *reportLayer) nextDeadline() moment { return r.recover.next() }

// tick handles the deadline recover, at which SERVING may begin to count. SERVING of a polled
// target may still have to wait for more polls.
func (r *reportLayer) tick(t turn) {
	if _, due := r.recover.fire(t.now); !due || !r.waiting {
		return
	}
	r.waited = true
	if r.source == health.SourceWatch || r.polls >= t.policy.RecoverAfter {
		r.acceptWaiting()
	}
}

func (r *reportLayer) acceptWaiting() {
	r.stopWaiting()
	r.accept(&Report{Source: r.source, Status: health.Serving})
}

func (r *reportLayer) stopWaiting() {
	if r.waiting {
		r.waiting = false
		r.recover.disarm()
	}
}

func (r *reportLayer) accept(rep *Report) {
	r.seen, r.lowered, r.source = true, false, rep.Source
	r.status, r.cause, r.reason = rep.Status, rep.Cause, rep.Reason
	if r.cause == health.CauseNone {
		r.cause = rep.Status.Cause()
	}
	r.firstFailure, r.metrics = rep.FirstFailure, rep.Metrics
	r.changed = r.changed || !sameChecks(r.checks, rep.Checks)
	r.checks = rep.Checks
}

// lower makes the status NotServing because the instance was declared dead. It does so only for a
// standard server of grpc.health.v1, and for an instance that has not reported anything. Later,
// SERVING of this target does not count at once, because the target may be another process.
func (r *reportLayer) lower(cause health.Cause, reason string) {
	if (isStock(r.source) || !r.seen) && !r.leaving() {
		r.status, r.cause, r.reason, r.seen, r.lowered = health.NotServing, cause, reason, true, true
	}
}

// apply returns a verdict with the reported status that counts.
func (r *reportLayer) apply() verdict {
	v := verdict{status: r.status, cause: r.cause, reason: r.reason}
	if r.waiting && r.recover.armed() {
		v.nextAt, v.nextCause = r.recover.at, health.CauseOK
	}
	return v
}

// leaving reports whether the instance has reported that it drains or is in maintenance.
func (r *reportLayer) leaving() bool {
	return r.status == health.Draining || r.status == health.Maintenance
}

func sameChecks(a, b []health.CheckState) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !sameCheck(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

// sameCheck reports whether a and b describe the same state of a check. It ignores values, times
// and counts.
func sameCheck(a, b *health.CheckState) bool {
	return a.Name == b.Name && a.Status == b.Status && a.Cause == b.Cause && a.Reason == b.Reason
}

// isStock reports whether s is a source of the protocol grpc.health.v1. Standard servers of this
// protocol apply no thresholds before they change their status.
func isStock(s health.Source) bool { return s == health.SourceWatch || s == health.SourcePoll }
