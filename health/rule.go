package health

import (
	"fmt"
	"strconv"
	"strings"
)

// Rule is the rule by which the status of an aggregate follows from its members. The zero
// value means that no rule is chosen; it works like Available.
type Rule struct {
	kind ruleKind
	n    int // number of instances (kind atLeast) or percentage (kind percent); 0 for other kinds
}

type ruleKind uint8

const (
	noRule ruleKind = iota
	available
	worst
	atLeast
	percent
)

// The rules without a number.
var (
	// Available makes a service SERVING if all its counted instances are SERVING. It makes the
	// service DEGRADED if at least MinAvailable percent of the counted instances are routable
	// (SERVING or DEGRADED). DRAINING, MAINTENANCE and new instances (see MeshPolicy.StartupGrace)
	// are not counted.
	Available = Rule{kind: available}
	// Worst gives a service the worst status of its counted instances. From best to worst:
	// SERVING, DEGRADED, UNKNOWN, NOT_SERVING. DRAINING, MAINTENANCE and new instances (see
	// MeshPolicy.StartupGrace) are not counted.
	Worst = Rule{kind: worst}
)

// AtLeast returns a rule by which a service needs k instances. The service is SERVING if at least k
// are SERVING. It is DEGRADED if at least k are routable (SERVING or DEGRADED). Otherwise the
// service is NOT_SERVING, with two exceptions. It is UNKNOWN if the routable and the UNKNOWN
// instances together are at least k. It is STARTING if k instances may soon be routable, because
// some still start or register.
func AtLeast(k int) Rule { return Rule{kind: atLeast, n: k} }

// Percent returns a rule that works like AtLeast(k), where k is p percent of the number of
// counted instances. DRAINING, MAINTENANCE and new instances (see MeshPolicy.StartupGrace) are
// not counted.
func Percent(p int) Rule { return Rule{kind: percent, n: p} }

// String returns the name of the rule in configurations, such as "at-least-2". The zero value
// has the name "available".
func (r Rule) String() string {
	switch {
	case r == AtLeast(1):
		return "any"
	case r.kind == worst:
		return "worst"
	case r.kind == atLeast:
		return fmt.Sprintf("at-least-%d", r.n)
	case r.kind == percent:
		return fmt.Sprintf("percent-%d", r.n)
	}
	return "available"
}

// RuleNames lists the names that ParseRule accepts. It is used in error texts.
const RuleNames = "available, worst, any, at-least-1 to at-least-50000, percent-1 to percent-100"

// MeshRuleNames lists the names of the rules for the mesh. It is used in error texts.
const MeshRuleNames = "available or worst"

// MaxAtLeast is the largest number that the rule AtLeast may have.
const MaxAtLeast = 50_000

// Need returns how many of n instances must be SERVING under the rule r. ok is false if the
// rule is Available or Worst, which need no fixed number.
func (r Rule) Need(n int) (need int, ok bool) {
	switch r.kind {
	case atLeast:
		return r.n, true
	case percent:
		return max(1, (n*r.n+99)/100), true
	}
	return 0, false
}

// ParseRule returns the rule that has a name, such as "worst" or "percent-80".
func ParseRule(name string) (Rule, error) {
	for _, r := range []Rule{Available, Worst, AtLeast(1)} {
		if name == r.String() {
			return r, nil
		}
	}
	for _, c := range []struct {
		prefix string
		make   func(int) Rule
		most   int
	}{{"at-least-", AtLeast, MaxAtLeast}, {"percent-", Percent, 100}} {
		digits, found := strings.CutPrefix(name, c.prefix)
		if n, err := strconv.Atoi(digits); found && err == nil && n >= 1 && n <= c.most {
			return c.make(n), nil
		}
	}
	return Rule{}, fmt.Errorf("%q is none of these", name)
}
