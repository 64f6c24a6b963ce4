package health

import "time"

// reported is layer 1: the last self-report, and for stock targets the wait
// until a better one is believed.
type reported struct {
	status       Status
	cause        Cause
	reason       string
	firstFailure time.Time
	checks       []CheckState
	metrics      *Metrics
	source       Source
	seen         bool // something was said; before that it is Starting
	fresh        bool // what rides on the status has changed
	waiting      bool // a stock SERVING is waiting to be believed
	held         bool // it has waited long enough
	polls        int  // how often it was seen
}

// verdict is what layer 1 says.
func (r *reported) verdict(in *instance) verdict {
	v := verdict{status: r.status, cause: r.cause, reason: r.reason}
	if r.waiting && in.deadlines[dlHold].armed() {
		v.nextAt, v.nextCause = in.deadlines[dlHold].at, CauseOK
	}
	return v
}

// report takes a self-report: worse at once; better at once from who has
// judged already, from stock targets only after it has been held.
func (in *instance) report(m *Mesh, rep *Report) {
	r := &in.reported
	in.confirmed = true
	if r.mustWait(m, rep) {
		in.wait(m, rep)
		return
	}
	in.stopWaiting()
	r.accept(rep)
}

func (r *reported) mustWait(m *Mesh, rep *Report) bool {
	return rep.Source.stock() && rep.Status == Serving && r.seen && r.status != Serving && m.policy.RecoverHold > 0
}

// wait begins or goes on waiting, and ends it when enough was seen.
func (in *instance) wait(m *Mesh, rep *Report) {
	r := &in.reported
	r.source = rep.Source
	if !r.waiting {
		r.waiting, r.held, r.polls = true, false, 0
		in.deadlines[dlHold].arm(m.now, m.policy.RecoverHold)
	}
	r.polls++
	if rep.Source == SourcePoll && r.polls < m.policy.RecoverAfter {
		return
	}
	if r.held {
		in.believe()
	}
}

// holdEnded believes a watched target; a polled one must also have been seen
// often enough, which its next poll will tell.
func (in *instance) holdEnded(recoverAfter int) {
	r := &in.reported
	if !r.waiting {
		return
	}
	r.held = true
	if r.source == SourceWatch || r.polls >= recoverAfter {
		in.believe()
	}
}

func (in *instance) believe() {
	in.stopWaiting()
	in.reported.accept(&Report{Source: in.reported.source, Status: Serving})
}

func (in *instance) stopWaiting() {
	if in.reported.waiting {
		in.reported.waiting = false
		in.deadlines[dlHold].disarm()
	}
}

func (r *reported) accept(rep *Report) {
	r.seen, r.source = true, rep.Source
	r.status, r.cause, r.reason = rep.Status, rep.Cause, rep.Reason
	if r.cause == CauseNone {
		r.cause = causeOf(rep.Status)
	}
	r.firstFailure, r.metrics = rep.FirstFailure, rep.Metrics
	r.fresh = r.fresh || !sameChecks(r.checks, rep.Checks)
	r.checks = rep.Checks
}

// causeOf is the cause of a status that came without one.
func causeOf(s Status) Cause {
	return [NumStatuses]Cause{
		Unknown: CauseUnconfirmed, Serving: CauseOK, Degraded: CauseWarned, NotServing: CauseFailed,
		Starting: CauseStarting, Draining: CauseDraining, Maintenance: CauseMaintenance,
	}[s]
}

func sameChecks(a, b []CheckState) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].sameVerdict(&b[i]) {
			return false
		}
	}
	return true
}
