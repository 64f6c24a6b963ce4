package health

import (
	"fmt"
	"strconv"
	"strings"
)

// Rule says how the status of a service follows from its instances. The zero
// value works as Available, and says that nobody has chosen it.
type Rule struct {
	kind ruleKind
	n    int // how many, or percent
}

type ruleKind uint8

const (
	unsaid ruleKind = iota
	available
	worst
	atLeast
	percent
)

// The rules without a number.
var (
	// Available: Serving if every counted instance is, Degraded as long as
	// enough of them are routable (MeshPolicy.MinAvailable).
	Available = Rule{kind: available}
	// Worst: the worst of Serving < Degraded < Unknown < NotServing.
	Worst = Rule{kind: worst}
	// Any: as good as its best instance.
	Any = AtLeast(1)
)

// AtLeast is Serving if k instances are, Degraded if k are routable, Starting as
// long as those that start could make them k. Where fewer than k are registered
// it is NotServing, and Starting while it grows.
func AtLeast(k int) Rule { return Rule{kind: atLeast, n: k} }

// Percent is AtLeast, of so much of the counted instances.
func Percent(p int) Rule { return Rule{kind: percent, n: p} }

// String returns the rule's name in configurations.
func (r Rule) String() string {
	switch {
	case r == Any:
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

// RuleNames says in words which rules there are.
const RuleNames = "available, worst, any, at-least-1 to at-least-50000, percent-1 to percent-100"

const maxAtLeast = 50_000

// ParseRule returns the rule of this name.
func ParseRule(name string) (Rule, error) {
	for _, r := range []Rule{Available, Worst, Any} {
		if name == r.String() {
			return r, nil
		}
	}
	for _, c := range []struct {
		prefix string
		make   func(int) Rule
		most   int
	}{{"at-least-", AtLeast, maxAtLeast}, {"percent-", Percent, 100}} {
		digits, found := strings.CutPrefix(name, c.prefix)
		if n, err := strconv.Atoi(digits); found && err == nil && n >= 1 && n <= c.most {
			return c.make(n), nil
		}
	}
	return Rule{}, fmt.Errorf("%q is none of these", name)
}

// Aggregate returns the status of a service with these instances: all of them,
// and those that count. minAvailable is in percent; grows says that one of them
// has registered just now, and others may be on the way.
func (r Rule) Aggregate(all, counted *[NumStatuses]int, minAvailable int, grows bool) Status {
	n := total(counted)
	switch {
	case total(all) == 0:
		return Unknown
	case n == 0:
		return uncounted(all)
	case r.kind == atLeast:
		return quorum(all, counted, r.n, grows)
	case r.kind == percent:
		return quorum(all, counted, part(n, r.n), false)
	case counted[Serving] == n:
		return Serving
	case r.kind == worst:
		return worstOf(counted)
	}
	return mostly(counted, part(n, minAvailable))
}

// part is so many percent of n, rounded up: one at least.
func part(n, percent int) int { return max(1, (n*percent+99)/100) }

// quorum wants need to be Serving; those that do not count yet may still be.
func quorum(all, counted *[NumStatuses]int, need int, grows bool) Status {
	coming := total(all) - all[Draining] - all[Maintenance] - total(counted)
	alive := counted[Serving] + counted[Degraded] + counted[Unknown]
	switch s := mostly(counted, need); {
	case counted[Serving] >= need:
		return Serving
	case s != NotServing:
		return s
	case alive+coming >= need, grows && alive == total(counted):
		return Starting
	}
	return NotServing
}

// uncounted is the status when no instance counts.
func uncounted(all *[NumStatuses]int) Status {
	switch left := total(all) - all[Draining] - all[Maintenance]; {
	case left > 0:
		return Starting
	case all[Draining] > 0:
		return Draining
	}
	return Maintenance
}

// mostly wants need to be routable, and is Degraded then.
func mostly(counted *[NumStatuses]int, need int) Status {
	routable := counted[Serving] + counted[Degraded]
	switch {
	case routable >= need:
		return Degraded
	case routable+counted[Unknown] >= need:
		return Unknown
	}
	return NotServing
}

// worstOf knows only four statuses: Starting, Draining and Maintenance never
// win it. Where there is nothing else, it is Starting.
func worstOf(counted *[NumStatuses]int) Status {
	for _, s := range [...]Status{NotServing, Unknown, Degraded, Serving} {
		if counted[s] > 0 {
			return s
		}
	}
	return Starting
}

func total(by *[NumStatuses]int) int {
	n := 0
	for _, k := range by {
		n += k
	}
	return n
}
