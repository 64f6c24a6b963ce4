package health

import "time"

// Machine turns the evidence of one check into a status. It is a value with
// one owner: feed it with Observe, sleep until Deadline, call Tick.
type Machine struct {
	policy *Policy

	status Status // what is published
	earned Status // what the counters say; differs only while MinHold holds
	cause  Cause

	trouble *trouble // nil if there is none
	since   time.Time
	staleAt time.Time

	// Runs of consecutive evidence. They survive transitions.
	passes, fails, nonPasses, nonFails uint32
}

// trouble is what a Machine knows about the present one. It does not change, so
// that copies of a Machine may share it.
type trouble struct {
	reason string
	first  time.Time // when it began
}

// NewMachine returns a machine that is Starting since now. p has its defaults
// (see WithDefaults) and must not change; machines may share it.
func NewMachine(p *Policy, now time.Time) Machine {
	return Machine{
		policy: p, since: now,
		status: Starting, earned: Starting, cause: CauseStarting,
	}
}

// Status returns the published status.
func (m *Machine) Status() Status { return m.status }

// Cause returns why the status is what it is.
func (m *Machine) Cause() Cause { return m.cause }

// Reason returns the cause in words; it may be empty.
func (m *Machine) Reason() string {
	if m.trouble == nil {
		return ""
	}
	return m.trouble.reason
}

// Since returns when the status was taken.
func (m *Machine) Since() time.Time { return m.since }

// FirstFailure returns when the present trouble began, zero if there is none.
func (m *Machine) FirstFailure() time.Time {
	if m.trouble == nil {
		return time.Time{}
	}
	return m.trouble.first
}

// Passes returns the number of consecutive passes up to now.
func (m *Machine) Passes() int { return int(m.passes) }

// Fails returns the number of consecutive fails up to now.
func (m *Machine) Fails() int { return int(m.fails) }

// InDoubt reports whether the next evidence may well change the status: the
// last one did not agree with it, or it is not Serving.
func (m *Machine) InDoubt() bool { return m.status != Serving || m.nonPasses > 0 }

// Observe takes evidence and returns the transition it made, if any.
func (m *Machine) Observe(o Observation) (Transition, bool) {
	m.count(o.Evidence)
	m.earned = m.judge(o.Evidence)
	m.staleAt = m.staleTime(o.Next)
	from := m.status
	m.publish(o.At)
	m.explain(o)
	return m.transition(from, o.At)
}

// Tick publishes what time alone has brought by now: staleness, and an
// improvement whose hold has ended.
func (m *Machine) Tick(now time.Time) (Transition, bool) {
	from := m.status
	if !m.staleAt.IsZero() && !now.Before(m.staleAt) {
		m.goStale(now)
	}
	m.publish(now)
	if m.status == Serving && from != Serving {
		m.clear()
	}
	return m.transition(from, now)
}

// Deadline returns when Tick will next have something to do.
func (m *Machine) Deadline() (time.Time, bool) {
	at := m.staleAt
	if m.status != m.earned {
		if end := m.since.Add(m.policy.MinHold); at.IsZero() || end.Before(at) {
			at = end
		}
	}
	return at, !at.IsZero()
}

// Forgive moves staleness into the future by as much as the owner was late.
func (m *Machine) Forgive(late time.Duration) {
	if !m.staleAt.IsZero() {
		m.staleAt = m.staleAt.Add(late)
	}
}

// Retune replaces the policy, by one as NewMachine takes; counters and status
// stay.
func (m *Machine) Retune(p *Policy) { m.policy = p }

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

// judge returns the status the counters have earned.
func (m *Machine) judge(e Evidence) Status {
	if m.earned == Starting {
		return first(e)
	}
	switch {
	case int(m.fails) >= m.policy.FailAfter:
		return NotServing
	case int(m.passes) >= m.policy.RecoverAfter:
		return Serving
	case m.earned == NotServing && int(m.nonFails) >= m.policy.RecoverAfter:
		return Degraded
	case m.earned == Serving && int(m.nonPasses) >= m.policy.DegradeAfter:
		return Degraded
	}
	return m.earned
}

// first is what the first evidence of a process decides, at once.
func first(e Evidence) Status {
	switch e {
	case Pass:
		return Serving
	case Warn:
		return Degraded
	}
	return NotServing
}

// publish takes over what was earned, an improvement only when the hold is
// over.
func (m *Machine) publish(now time.Time) {
	held := m.status.WorseThan(m.earned) && m.status != Starting && now.Before(m.since.Add(m.policy.MinHold))
	if m.status == m.earned || held {
		return
	}
	m.status, m.since = m.earned, now
}

// explain keeps the cause of the trouble until it is over.
func (m *Machine) explain(o Observation) {
	if m.status == Serving {
		m.cause = CauseOK
		if o.Evidence == Pass {
			m.trouble = nil
			return
		}
		m.is("", o.At)
	}
	if o.Evidence != Pass && m.status != Serving {
		m.cause = orCause(o.Cause, o.Evidence)
		m.is(o.Reason, o.At)
	}
}

// is says what the trouble is, which began now unless there was one.
func (m *Machine) is(reason string, now time.Time) {
	if m.trouble == nil {
		m.trouble = &trouble{reason, now}
	} else if m.trouble.reason != reason {
		m.trouble = &trouble{reason, m.trouble.first}
	}
}

func orCause(c Cause, e Evidence) Cause {
	if c == CauseNone {
		return e.cause()
	}
	return c
}

func (m *Machine) goStale(now time.Time) {
	m.count(Fail)
	m.earned, m.staleAt = NotServing, time.Time{}
	m.cause = CauseStale
	m.is("", now)
}

// clear forgets the trouble that is over, unless the next has begun.
func (m *Machine) clear() {
	m.cause = CauseOK
	if m.nonPasses == 0 {
		m.trouble = nil
	} else {
		m.is("", m.FirstFailure())
	}
}

func (m *Machine) staleTime(next time.Time) time.Time {
	if next.IsZero() || m.policy.StaleAfter < 0 {
		return time.Time{}
	}
	return next.Add(m.policy.StaleAfter)
}

func (m *Machine) transition(from Status, at time.Time) (Transition, bool) {
	if from == m.status {
		return Transition{}, false
	}
	return Transition{From: from, To: m.status, At: at, Cause: m.cause, Reason: m.Reason()}, true
}
