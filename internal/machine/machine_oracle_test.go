package machine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// machineOp is one call of a Machine: evidence, or a Tick if there is none.
type machineOp struct {
	evidence Evidence
	at       time.Time
	next     time.Time
}

// dumbMachine keeps all calls, and computes its state from all of them each time.
type dumbMachine struct {
	policy health.Policy
	ops    []machineOp
}

// dumbState is the state that follows from a history.
type dumbState struct {
	status, earned         health.Status
	since, stale, troubled time.Time
	seen                   []Evidence // with a fail for each time that evidence became stale
	lastTrouble            health.Cause
}

func (d *dumbMachine) state() dumbState {
	j := dumbState{status: health.Starting, earned: health.Starting, since: transcript.T0, lastTrouble: health.CauseStarting}
	for _, op := range d.ops {
		j.step(d.policy, op)
	}
	return j
}

func (j *dumbState) step(p health.Policy, op machineOp) {
	switch {
	case op.evidence != 0:
		j.see(p, op.evidence, op.at, op.evidence.cause())
		j.stale = time.Time{}
		if !op.next.IsZero() && p.StaleAfter >= 0 {
			j.stale = op.next.Add(p.StaleAfter)
		}
	case !j.stale.IsZero() && !op.at.Before(j.stale):
		j.see(p, Fail, op.at, health.CauseStale)
		j.earned, j.stale = health.NotServing, time.Time{}
	}
	better := j.status.WorseThan(j.earned) && j.status != health.Starting
	if j.earned != j.status && (!better || op.at.Sub(j.since) >= p.MinHold) {
		j.status, j.since = j.earned, op.at
	}
	if j.status == health.Serving && j.run(Pass) > 0 {
		j.troubled = time.Time{}
	}
}

func (j *dumbState) see(p health.Policy, e Evidence, at time.Time, cause health.Cause) {
	j.seen = append(j.seen, e)
	if e != Pass {
		j.lastTrouble = cause
		if j.troubled.IsZero() {
			j.troubled = at
		}
	}
	switch {
	case len(j.seen) == 1:
		j.earned = map[Evidence]health.Status{Pass: health.Serving, Warn: health.Degraded, Fail: health.NotServing}[e]
	case j.run(Fail) >= p.FailAfter:
		j.earned = health.NotServing
	case j.run(Pass) >= p.RecoverAfter:
		j.earned = health.Serving
	case j.earned == health.NotServing && j.run(Pass, Warn) >= p.RecoverAfter:
		j.earned = health.Degraded
	case j.earned == health.Serving && j.run(Warn, Fail) >= p.DegradeAfter:
		j.earned = health.Degraded
	}
}

// run returns the length of the last series of this evidence.
func (j *dumbState) run(of ...Evidence) int {
	n := 0
	for i := len(j.seen) - 1; i >= 0; i-- {
		is := false
		for _, e := range of {
			is = is || e == j.seen[i]
		}
		if !is {
			break
		}
		n++
	}
	return n
}

func (j *dumbState) cause() health.Cause {
	switch j.status {
	case health.Serving:
		return health.CauseOK
	case health.Starting:
		return health.CauseStarting
	}
	return j.lastTrouble
}

func (j *dumbState) deadline(p health.Policy) time.Time {
	end := j.stale
	if hold := j.since.Add(p.MinHold); j.status != j.earned && (end.IsZero() || hold.Before(end)) {
		end = hold
	}
	return end
}

// compareMachines plays data to a Machine and to a dumbMachine, and compares them.
func compareMachines(data []byte) error {
	if len(data) < 5 {
		return nil
	}
	p := health.Policy{
		FailAfter: 1 + int(data[0]%4), RecoverAfter: 1 + int(data[1]%4),
		MinHold:    time.Duration(data[2]%8) * time.Second,
		StaleAfter: time.Duration(int(data[3]%5)-1) * time.Second,
	}
	p.DegradeAfter = 1 + int(data[4])%p.FailAfter
	m, dumb, now := New(&p, transcript.T0), dumbMachine{policy: p}, transcript.T0
	for i := 5; i+1 < len(data); i += 2 {
		now = now.Add(time.Duration(data[i+1]%6) * time.Second / 2)
		op := machineOp{evidence: Evidence(data[i] % 4), at: now}
		if n := data[i] / 4 % 8; n > 0 {
			op.next = now.Add(time.Duration(n) * time.Second)
		}
		if err := compareStep(&m, &dumb, op); err != nil {
			return fmt.Errorf("%+v, after %d of %v: %w", p, i, data, err)
		}
	}
	return nil
}

func compareStep(m *Machine, dumb *dumbMachine, op machineOp) error {
	before := m.Status()
	var tr Transition
	var changed bool
	if op.evidence == 0 {
		tr, changed = m.Tick(op.at)
	} else {
		tr, changed = m.Observe(Observation{At: op.at, Evidence: op.evidence, Next: op.next})
	}
	dumb.ops = append(dumb.ops, op)
	want := dumb.state()
	deadline, _ := m.Deadline()
	got := fmt.Sprint(m.Status(), m.Cause(), m.Passes(), m.Fails(), m.Since(), m.FirstFailure(), deadline, m.Suspect())
	suspect := want.status != health.Serving || want.run(Warn, Fail) > 0
	if w := fmt.Sprint(want.status, want.cause(), want.run(Pass), want.run(Fail), want.since, want.troubled, want.deadline(dumb.policy), suspect); got != w {
		return fmt.Errorf("got  %s\nwant %s", got, w)
	}
	if changed != (before != m.Status()) || changed && (tr != Transition{From: before, To: m.Status(), At: op.at, Cause: m.Cause()}) {
		return fmt.Errorf("from %s to %s, but returned %v %+v", before, m.Status(), changed, tr)
	}
	return confident(m, &want, op)
}

// confident checks that a routable status has recent evidence: after a Tick it is not
// stale, and a pass or a warn is among the last FailAfter.
func confident(m *Machine, j *dumbState, op machineOp) error {
	if !m.Status().Routable() {
		return nil
	}
	if op.evidence == 0 && !j.stale.IsZero() && !op.at.Before(j.stale) {
		return fmt.Errorf("%s on stale evidence", m.Status())
	}
	if j.run(Fail) >= m.policy.FailAfter {
		return fmt.Errorf("%s after %d fails", m.Status(), j.run(Fail))
	}
	return nil
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte{2, 1, 0, 2, 0, 1, 2, 3, 2, 3, 2, 3, 2, 1, 2, 1, 2})
	f.Add([]byte{1, 1, 5, 1, 1, 9, 1, 3, 1, 0, 5, 1, 1, 1, 1, 2, 1, 0, 5, 0, 5, 0, 5})
	transcript.Fuzz(f, 400, compareMachines)
}

func TestMachineAgainstOracle(t *testing.T) {
	transcript.Inputs(t, 1, 3000, 5, 85, compareMachines)
}

// TestMachineDeadlineIsNotLate checks that a Tick before Deadline changes nothing.
func TestMachineDeadlineIsNotLate(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	m := New(withDefaults(health.Policy{MinHold: 5 * time.Second, StaleAfter: time.Second}), transcript.T0)
	now := transcript.T0
	for range 5000 {
		now = now.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
		due, ok := m.Deadline()
		was := m
		if _, changed := m.Tick(now); (!ok || now.Before(due)) && (changed || m != was) {
			t.Fatalf("a Tick at %v changed the machine, its deadline is %v", now, due)
		}
		m.Observe(Observation{At: now, Evidence: Pass + Evidence(random.IntN(3)), Next: now.Add(time.Second)})
	}
}
