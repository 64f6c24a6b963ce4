package health

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMachineTranscripts(t *testing.T) {
	transcripts(t, "testdata/machine_*.txt", func() func(*line) string {
		m := NewMachine(withDefaults(Policy{}), t0)
		var now time.Duration
		return func(l *line) string {
			now = l.age("at", now)
			return machineCommand(&m, l, at(now))
		}
	})
}

func machineCommand(m *Machine, l *line, now time.Time) string {
	switch l.verb {
	case "policy":
		*m = NewMachine(withDefaults(policyOf(l)), now)
		return printMachine(m, Transition{}, false)
	case "observe":
		o := Observation{At: now, Evidence: parseEvidence(l.word())}
		if next := l.age("next", -1); next >= 0 {
			o.Next = at(next)
		}
		if c, ok := l.opt("cause"); ok {
			o.Cause, _ = ParseCause(c)
		}
		o.Reason = l.text("reason")
		tr, ok := m.Observe(o)
		return printMachine(m, tr, ok)
	case "tick":
		tr, ok := m.Tick(now)
		return printMachine(m, tr, ok)
	case "retune":
		m.Retune(withDefaults(policyOf(l)))
		return printMachine(m, Transition{}, false)
	case "forgive":
		m.Forgive(l.age("late", 0))
		return printMachine(m, Transition{}, false)
	}
	panic("no such command")
}

func withDefaults(p Policy) *Policy {
	p = p.WithDefaults()
	return &p
}

func policyOf(l *line) Policy {
	number := func(key string) int {
		v, _ := l.opt(key)
		n, _ := strconv.Atoi(v)
		return n
	}
	p := Policy{
		DegradeAfter: number("degrade-after"), FailAfter: number("fail-after"), RecoverAfter: number("recover-after"),
		MinHold: l.age("min-hold", 0), StaleAfter: l.age("stale-after", 0),
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
	fmt.Fprintf(&b, " passes=%d fails=%d since=%s", m.Passes(), m.Fails(), ago(m.Since()))
	if !m.FirstFailure().IsZero() {
		fmt.Fprintf(&b, " first-failure=%s", ago(m.FirstFailure()))
	}
	if d, ok := m.Deadline(); ok {
		fmt.Fprintf(&b, " deadline=%s", ago(d))
	}
	if m.InDoubt() {
		b.WriteString(" in-doubt")
	}
	return b.String() + "\n"
}
