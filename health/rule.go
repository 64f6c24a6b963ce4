package health

// Rule says how the status of a service follows from its instances.
type Rule uint8

// The rules. The zero value is the default.
const (
	// Available: Serving if every counted instance is, Degraded as long as
	// enough of them are routable (MeshPolicy.MinAvailable).
	Available Rule = iota
	// Worst: the worst of Serving < Degraded < Unknown < NotServing.
	Worst
)

// String returns the rule's name in configurations.
func (r Rule) String() string {
	if r == Worst {
		return "worst"
	}
	return "available"
}

// ParseRule returns the rule of this name.
func ParseRule(name string) (Rule, bool) {
	switch name {
	case "available":
		return Available, true
	case "worst":
		return Worst, true
	}
	return Available, false
}

// Aggregate returns the status of a service with these instances: all of them,
// and those that count. minAvailable is in percent.
func (r Rule) Aggregate(all, counted *[NumStatuses]int, minAvailable int) Status {
	n := total(counted)
	switch {
	case total(all) == 0:
		return Unknown
	case n == 0:
		return uncounted(all)
	case counted[Serving] == n:
		return Serving
	case r == Worst:
		return worst(counted)
	}
	return available(counted, n, minAvailable)
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

func available(counted *[NumStatuses]int, n, minAvailable int) Status {
	need := max(1, (n*minAvailable+99)/100)
	routable := counted[Serving] + counted[Degraded]
	switch {
	case routable >= need:
		return Degraded
	case routable+counted[Unknown] >= need:
		return Unknown
	}
	return NotServing
}

// worst knows only four statuses: Starting, Draining and Maintenance never
// win it. Where there is nothing else, it is Starting.
func worst(counted *[NumStatuses]int) Status {
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
