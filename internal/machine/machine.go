package machine

import (
	"math"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Machine computes the status of one check. It has one owner, which calls Observe after each
// run. The owner also waits until the time that Deadline returns, and then calls Tick.
//
// The first evidence decides the status at once. After that, the thresholds of the policy
// decide.
type Machine struct {
	policy *health.Policy // policy with its defaults filled in; Machine does not change it

	status health.Status // the published status
	// earned is the status that the results of the runs give. While MinHold delays its
	// publication, earned is better than the field status. Otherwise both are equal.
	earned health.Status
	cause  health.Cause

	trouble *trouble  // present failure; nil if there is no failure
	since   time.Time // time when status was published
	// staleAge is the duration from the time m.since to the time when the last evidence becomes
	// stale. neverStale means that the evidence does not become stale. A second time.Time would
	// need three times as much memory, and a server may have 200,000 machines.
	staleAge time.Duration

	// Each field counts runs in a row, up to the last run. passes counts runs that passed, and
	// fails counts runs that failed. nonPasses counts warnings and fails, and nonFails counts
	// passes and warnings. A transition of the status does not reset these counts.
	passes, fails, nonPasses, nonFails uint32
}

// neverStale is the value of Machine.staleAge for evidence that does not become stale.
const neverStale time.Duration = math.MaxInt64

// trouble describes the present failure. It is immutable, so that copies of a Machine can
// share it.
type trouble struct {
	reason string
	first  time.Time // time when the failure began
}

// New returns a machine whose status is STARTING. The policy must have its defaults filled in
// (see [health.Policy.WithDefaults]) and must not change. Several machines may share a policy.
func New(p *health.Policy, now time.Time) Machine {
	return Machine{
		policy: p, since: now, staleAge: neverStale,
		status: health.Starting, earned: health.Starting, cause: health.CauseStarting,
	}
}

// Status returns the published status.
func (m *Machine) Status() health.Status { return m.status }

// Cause returns the cause of the published status.
func (m *Machine) Cause() health.Cause { return m.cause }

// Reason returns the explanation of the cause for people. It may be empty.
func (m *Machine) Reason() string {
	if m.trouble == nil {
		return ""
	}
	return m.trouble.reason
}

// Since returns the time when the present status was published.
func (m *Machine) Since() time.Time { return m.since }

// FirstFailure returns the time when the present failure began. It returns zero if there is
// no failure.
func (m *Machine) FirstFailure() time.Time {
	if m.trouble == nil {
		return time.Time{}
	}
	return m.trouble.first
}

// Passes returns the number of passes in a row up to the last run.
func (m *Machine) Passes() int { return int(m.passes) }

// Fails returns the number of fails in a row up to the last run.
func (m *Machine) Fails() int { return int(m.fails) }

// Suspect reports whether the next run may change the status. It returns true if the status is not
// SERVING or if the last run was not a pass.
func (m *Machine) Suspect() bool { return m.status != health.Serving || m.nonPasses > 0 }

// Observe handles the result of one run. If the status has changed, it returns the transition
// and true.
func (m *Machine) Observe(o Observation) (Transition, bool) {
	m.count(o.Evidence)
	m.earned = m.evaluate(o.Evidence)
	m.staleAge = m.staleAgeAfter(o.Next)
	from := m.status
	m.publishEarned(o.At)
	m.updateTrouble(o)
	return m.transition(from, o.At)
}

// Tick handles changes that need no new run. It counts stale evidence as a fail, and publishes
// a better status that MinHold has delayed. If the status has changed, it returns the
// transition and true.
func (m *Machine) Tick(now time.Time) (Transition, bool) {
	from := m.status
	if m.staleAge != neverStale && now.Sub(m.since) >= m.staleAge {
		m.countStale(now)
	}
	m.publishEarned(now)
	if m.status == health.Serving && from != health.Serving {
		m.endTrouble()
	}
	return m.transition(from, now)
}

// Deadline returns the time when Tick must be called next. ok is false if Tick has nothing to
// do until there is a new result.
func (m *Machine) Deadline() (at time.Time, ok bool) {
	age := m.staleAge
	if m.status != m.earned {
		age = min(age, m.policy.MinHold)
	}
	if age == neverStale {
		return time.Time{}, false
	}
	return m.since.Add(age), true
}

// Forgive delays the time when the last evidence becomes stale. lateness is the duration by which
// this process itself was late, so that it could not run the check.
func (m *Machine) Forgive(lateness time.Duration) {
	if m.staleAge != neverStale {
		m.staleAge += lateness
	}
}

// Retune replaces the present policy with p. The counters and the status stay the same. As for
// New, p must have its defaults filled in and must not change.
func (m *Machine) Retune(p *health.Policy) { m.policy = p }

func (m *Machine) count(e Evidence) {
	switch e {
	case Pass:
		m.passes, m.nonFails, m.fails, m.nonPasses = m.passes+1, m.nonFails+1, 0, 0
	case Warn:
		m.passes, m.nonFails, m.fails, m.nonPasses = 0, m.nonFails+1, 0, m.nonPasses+1
	default:
		m.passes, m.nonFails, m.fails, m.nonPasses = 0, 0, m.fails+1, m.nonPasses+1
	}
}

// evaluate returns the status that follows from the counters, which include the evidence e.
func (m *Machine) evaluate(e Evidence) health.Status {
	if m.earned == health.Starting {
		return firstStatus(e)
	}
	switch {
	case int(m.fails) >= m.policy.FailAfter:
		return health.NotServing
	case int(m.passes) >= m.policy.RecoverAfter:
		return health.Serving
	case m.earned == health.NotServing && int(m.nonFails) >= m.policy.RecoverAfter:
		return health.Degraded
	case m.earned == health.Serving && int(m.nonPasses) >= m.policy.DegradeAfter:
		return health.Degraded
	}
	return m.earned
}

// firstStatus returns the status after e, if e is the first evidence of the machine.
func firstStatus(e Evidence) health.Status {
	switch e {
	case Pass:
		return health.Serving
	case Warn:
		return health.Degraded
	}
	return health.NotServing
}

// publishEarned publishes the status that the results of the runs give, m.earned. If this status
// is better than the published one, MinHold may delay the publication.
func (m *Machine) publishEarned(now time.Time) {
	held := m.status.WorseThan(m.earned) && m.status != health.Starting && now.Before(m.since.Add(m.policy.MinHold))
	if m.status == m.earned || held {
		return
	}
	if m.staleAge != neverStale {
		m.staleAge -= now.Sub(m.since)
	}
	m.status, m.since = m.earned, now
}

// updateTrouble sets the cause and the reason to the values in the observation o. A pass ends the
// failure if the status is SERVING.
func (m *Machine) updateTrouble(o Observation) {
	if m.status == health.Serving {
		m.cause = health.CauseOK
		if o.Evidence == Pass {
			m.trouble = nil
			return
		}
		m.setReason("", o.At)
	}
	if o.Evidence != Pass && m.status != health.Serving {
		m.cause = causeOr(o.Cause, o.Evidence)
		m.setReason(o.Reason, o.At)
	}
}

// setReason sets the reason of the present failure. If there is no present failure, a failure
// begins at the time now.
func (m *Machine) setReason(reason string, now time.Time) {
	if m.trouble == nil {
		m.trouble = &trouble{reason, now}
	} else if m.trouble.reason != reason {
		m.trouble = &trouble{reason, m.trouble.first}
	}
}

// causeOr returns c. If c is CauseNone, it returns the usual cause for the evidence e.
func causeOr(c health.Cause, e Evidence) health.Cause {
	if c == health.CauseNone {
		return e.cause()
	}
	return c
}

// countStale handles evidence that became stale because a run is missing. It counts this as a fail.
// It sets the field earned, the status that the results of the runs give, to NOT_SERVING.
func (m *Machine) countStale(now time.Time) {
	m.count(Fail)
	m.earned, m.staleAge = health.NotServing, neverStale
	m.cause = health.CauseStale
	m.setReason("", now)
}

// endTrouble is called when the status becomes SERVING after the delay MinHold. If the last run
// was a pass, the present failure ends. Otherwise only the reason of the failure is removed.
func (m *Machine) endTrouble() {
	m.cause = health.CauseOK
	if m.nonPasses == 0 {
		m.trouble = nil
	} else {
		m.setReason("", m.FirstFailure())
	}
}

// staleAgeAfter returns the new value of m.staleAge after a run. next is the time by which the next
// run must have ended. It is zero if no run is planned.
func (m *Machine) staleAgeAfter(next time.Time) time.Duration {
	if next.IsZero() || m.policy.StaleAfter < 0 {
		return neverStale
	}
	return next.Add(m.policy.StaleAfter).Sub(m.since)
}

func (m *Machine) transition(from health.Status, at time.Time) (Transition, bool) {
	if from == m.status {
		return Transition{}, false
	}
	return Transition{From: from, To: m.status, At: at, Cause: m.cause, Reason: m.Reason()}, true
}
