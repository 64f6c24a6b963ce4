package machine

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

func TestMachineTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/machine_*.txt", func() func(*transcript.Line) string {
		m := New(withDefaults(health.Policy{}), transcript.T0)
		var now time.Duration
		return func(l *transcript.Line) string {
			now = l.Age("at", now)
			return machineCommand(&m, l, transcript.At(now))
		}
	})
}

func machineCommand(m *Machine, l *transcript.Line, now time.Time) string {
	switch l.Verb {
	case "policy":
		*m = New(withDefaults(policyOf(l)), now)
		return printMachine(m, Transition{}, false)
	case "observe":
		o := Observation{At: now, Evidence: parseEvidence(l.Word())}
		if next := l.Age("next", -1); next >= 0 {
			o.Next = transcript.At(next)
		}
		if c, ok := l.Opt("cause"); ok {
			o.Cause, _ = health.ParseCause(c)
		}
		o.Reason = l.Text("reason")
		tr, ok := m.Observe(o)
		return printMachine(m, tr, ok)
	case "tick":
		tr, ok := m.Tick(now)
		return printMachine(m, tr, ok)
	case "retune":
		m.Retune(withDefaults(policyOf(l)))
		return printMachine(m, Transition{}, false)
	case "forgive":
		m.Forgive(l.Age("late", 0))
		return printMachine(m, Transition{}, false)
	}
	panic("no such command")
}

func withDefaults(p health.Policy) *health.Policy {
	p = p.WithDefaults()
	return &p
}

func policyOf(l *transcript.Line) health.Policy {
	number := func(key string) int {
		v, _ := l.Opt(key)
		n, _ := strconv.Atoi(v)
		return n
	}
	p := health.Policy{
		DegradeAfter: number("degrade-after"), FailAfter: number("fail-after"), RecoverAfter: number("recover-after"),
		MinHold: l.Age("min-hold", 0), StaleAfter: l.Age("stale-after", 0),
	}
	if err := p.Validate(); err != nil {
		panic(err)
	}
	return p
}

func parseEvidence(name string) Evidence {
	for e := Pass; e <= Fail; e++ {
		if e.String() == name {
			return e
		}
	}
	panic("no such evidence: " + name)
}

func printMachine(m *Machine, tr Transition, changed bool) string {
	var b strings.Builder
	if changed {
		fmt.Fprintf(&b, "%s -> ", tr.From)
	}
	fmt.Fprintf(&b, "%s %s", m.Status(), m.Cause())
	if m.Reason() != "" {
		fmt.Fprintf(&b, " %q", m.Reason())
	}
	fmt.Fprintf(&b, " passes=%d fails=%d since=%s", m.Passes(), m.Fails(), transcript.Ago(m.Since()))
	if !m.FirstFailure().IsZero() {
		fmt.Fprintf(&b, " first-failure=%s", transcript.Ago(m.FirstFailure()))
	}
	if d, ok := m.Deadline(); ok {
		fmt.Fprintf(&b, " deadline=%s", transcript.Ago(d))
	}
	if m.Suspect() {
		b.WriteString(" suspect")
	}
	return b.String() + "\n"
}
