package mesh

import "github.com/meshhealth/meshhealth/health"

// statusCounts has, for each status, the number of members of an aggregate with this status.
type statusCounts = [health.NumStatuses]int

func total(counts *statusCounts) int {
	n := 0
	for _, k := range counts {
		n += k
	}
	return n
}

// routable returns the number of members that are routable: SERVING or DEGRADED.
func routable(counts *statusCounts) int { return counts[health.Serving] + counts[health.Degraded] }

// percentOf returns percent % of n, rounded up. The result is at least 1.
func percentOf(n, percent int) int { return max(1, (n*percent+99)/100) }

// evaluateRule returns the status of a service that follows from a rule. all counts its
// instances, and counted counts those of them that count. minAvailable is a percentage.
// growing says that an instance has registered lately, so that more instances may register.
func evaluateRule(rule health.Rule, all, counted *statusCounts, minAvailable int, growing bool) health.Status {
	n := total(counted)
	need, numbered := rule.Need(n)
	switch {
	case total(all) == 0:
		return health.Unknown
	case n == 0:
		return evaluateUncounted(all)
	case numbered:
		// Only a rule with a number of instances waits for more registrations. More instances
		// do not help to reach a percentage.
		return evaluateNeed(all, counted, need, growing && rule == health.AtLeast(need))
	case counted[health.Serving] == n:
		return health.Serving
	case rule == health.Worst:
		return worstOf(counted)
	}
	return evaluateRoutable(counted, percentOf(n, minAvailable))
}

// evaluateNeed returns the status of a service that needs a number of SERVING instances. The
// status is STARTING while instances that do not count yet could fill the need.
func evaluateNeed(all, counted *statusCounts, need int, growing bool) health.Status {
	coming := total(all) - all[health.Draining] - all[health.Maintenance] - total(counted)
	alive := routable(counted) + counted[health.Unknown]
	switch s := evaluateRoutable(counted, need); {
	case counted[health.Serving] >= need:
		return health.Serving
	case s != health.NotServing:
		return s
	case alive+coming >= need, growing && alive == total(counted):
		return health.Starting
	}
	return health.NotServing
}

// evaluateRoutable returns DEGRADED if at least need members are routable. It returns UNKNOWN
// if the UNKNOWN members could fill the need, and NOT_SERVING otherwise.
func evaluateRoutable(counted *statusCounts, need int) health.Status {
	switch {
	case routable(counted) >= need:
		return health.Degraded
	case routable(counted)+counted[health.Unknown] >= need:
		return health.Unknown
	}
	return health.NotServing
}

// evaluateUncounted returns the status if no member counts.
func evaluateUncounted(all *statusCounts) health.Status {
	switch left := total(all) - all[health.Draining] - all[health.Maintenance]; {
	case left > 0:
		return health.Starting
	case all[health.Draining] > 0:
		return health.Draining
	}
	return health.Maintenance
}

// worstOf returns the worst status that a member has. It ignores STARTING, DRAINING and
// MAINTENANCE. If no other status is there, it returns STARTING.
func worstOf(counted *statusCounts) health.Status {
	return firstOf(counted, health.Starting, health.NotServing, health.Unknown, health.Degraded, health.Serving)
}

// firstOf returns the first status in order that a member has. If there is none, it returns
// otherwise.
func firstOf(counts *statusCounts, otherwise health.Status, order ...health.Status) health.Status {
	for _, s := range order {
		if counts[s] > 0 {
			return s
		}
	}
	return otherwise
}

// contribution is what one instance adds to the rollups of its service. The zero value
// adds nothing.
type contribution struct {
	present     bool // false only for the zero value
	young       bool // true if the instance is younger than StartupGrace
	unconfirmed bool
	status      health.Status
	standing    standing
	zone        string
}

// standing is how an instance counts in its service.
type standing uint8

const (
	uncounted standing = iota // the instance does not count: it is too young, or leaving
	// unproven means that the instance is not young, but that no status of it has come since
	// the coordinator started.
	unproven
	// unheard means that the instance is not young, but that no status of it has come since
	// its registration.
	unheard
	// countedFully means that the instance counts.
	countedFully
)

// rollup counts the instances of a service, in all zones or in one zone. It holds the state
// of the aggregate that was last published.
type rollup struct {
	state health.State
	all   statusCounts
	// counted counts the instances with the standing countedFully. unproven counts those with
	// unproven or unheard, which decide only if counted is empty. So an address that never
	// answered does not decide if instances live.
	counted, unproven statusCounts
	unheard           statusCounts        // instances with the standing unheard; unproven has them too
	unconfirmed       int                 // number of instances whose status is unconfirmed
	young             int                 // number of instances younger than StartupGrace
	inZone            serviceContribution // what the rollup adds to its zone, or to the mesh
}

// add adds the contribution c if n is 1, and removes it if n is -1.
func (r *rollup) add(c contribution, n int) {
	if !c.present {
		return
	}
	r.all[c.status] += n
	switch c.standing {
	case countedFully:
		r.counted[c.status] += n
	case unheard:
		r.unheard[c.status] += n
		r.unproven[c.status] += n
	case unproven:
		r.unproven[c.status] += n
	}
	if c.unconfirmed {
		r.unconfirmed += n
	}
	if c.young {
		r.young += n
	}
}

// deciding returns the counts of the instances that decide the status: counted, or unproven
// if counted is empty.
func (r *rollup) deciding() *statusCounts {
	if total(&r.counted) == 0 {
		return &r.unproven
	}
	return &r.counted
}

// evaluate returns the status that follows from a rule and the policy of the service. The
// rule does not wait for instances with the standing unheard. But a service with such
// instances is at best DEGRADED.
func (r *rollup) evaluate(rule health.Rule, p *health.ServicePolicy) (health.Status, health.Counts) {
	counts := health.Counts{
		By: r.all, Counted: total(r.deciding()), Unconfirmed: r.unconfirmed, Rule: rule,
		Critical: p.Critical, Optional: p.Optional,
	}
	all := r.all
	if total(&r.counted) > 0 {
		counts.Unheard = total(&r.unheard)
		for s, n := range r.unheard {
			all[s] -= n
		}
	}
	status := evaluateRule(rule, &all, r.deciding(), p.MinAvailable, r.young > 0)
	if status == health.Serving && counts.Unheard > 0 {
		status = health.Degraded
	}
	return status, counts
}
