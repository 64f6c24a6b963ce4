package mesh

import "github.com/meshhealth/meshhealth/health"

// statusCounts has the number of members of an aggregate with each status.
type statusCounts = [health.NumStatuses]int

func total(counts *statusCounts) int {
	n := 0
	for _, k := range counts {
		n += k
	}
	return n
}

// routable returns the number of members that may receive traffic: SERVING or DEGRADED.
func routable(counts *statusCounts) int { return counts[health.Serving] + counts[health.Degraded] }

// percentOf returns percent % of n, rounded up. The result is at least 1.
func percentOf(n, percent int) int { return max(1, (n*percent+99)/100) }

// evaluateRule returns the status that a rule gives to a service. all has the number of all
// instances by status. counted has the number of the instances that count. minAvailable is a
// percentage. growing says that an instance has registered recently, so that more may follow.
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
		// would not help to reach a percentage.
		return evaluateNeed(all, counted, need, growing && rule == health.AtLeast(need))
	case counted[health.Serving] == n:
		return health.Serving
	case rule == health.Worst:
		return worstOf(counted)
	}
	return evaluateRoutable(counted, percentOf(n, minAvailable))
}

// evaluateNeed returns the status of a service that needs a fixed number of SERVING instances.
// The status is STARTING while the number may still be reached with instances that do not count
// yet.
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

// evaluateRoutable returns the status of an aggregate in which not all members are SERVING. If at
// least need members are routable, the status is DEGRADED. If this number is reached only with the
// UNKNOWN members, the status is UNKNOWN. Otherwise the status is NOT_SERVING.
func evaluateRoutable(counted *statusCounts, need int) health.Status {
	switch {
	case routable(counted) >= need:
		return health.Degraded
	case routable(counted)+counted[health.Unknown] >= need:
		return health.Unknown
	}
	return health.NotServing
}

// evaluateUncounted returns the status of a service in which no instance counts.
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
// MAINTENANCE. If all members have one of these, it returns STARTING.
func worstOf(counted *statusCounts) health.Status {
	return firstOf(counted, health.Starting, health.NotServing, health.Unknown, health.Degraded, health.Serving)
}

// firstOf goes through the list of statuses and returns the first status that a member has. If no
// member has one of these statuses, firstOf returns fallback.
func firstOf(counts *statusCounts, fallback health.Status, statuses ...health.Status) health.Status {
	for _, s := range statuses {
		if counts[s] > 0 {
			return s
		}
	}
	return fallback
}

// contribution is what one instance adds to the counts of its service. The zero value adds
// nothing.
type contribution struct {
	present     bool // false only for the zero value
	young       bool // true if the instance is younger than StartupGrace
	unconfirmed bool
	status      health.Status
	standing    standing
	zone        string
}

// standing says whether, and how, an instance counts in its service.
type standing uint8

const (
	uncounted standing = iota // the instance does not count, because it is too young or is leaving
	// unproven means that the instance is older than StartupGrace, but has sent no status since
	// the coordinator started.
	unproven
	// unheard means that the instance is older than StartupGrace, but has sent no status since
	// it registered.
	unheard
	// countedFully means that the status of the service is computed from this instance.
	countedFully
)

// rollup counts the instances of a service, in all zones or in one zone. It also holds the state
// of this aggregate that was published last.
type rollup struct {
	state health.State
	all   statusCounts
	// counted counts the instances with the standing countedFully. unproven counts the
	// instances with the standing unproven or unheard, which have sent no status. unproven decides
	// the status only if counted is empty. So an address that never answered does not outweigh
	// instances that live.
	counted, unproven statusCounts
	unheard           statusCounts        // number of instances with the standing unheard, also counted in unproven
	unconfirmed       int                 // number of instances whose status is unconfirmed
	young             int                 // number of instances younger than StartupGrace
	inZone            serviceContribution // what this rollup adds to its zone, or to the mesh
}

// add adds c to the counts if n is 1, and subtracts it if n is -1.
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

// deciding returns the counts that decide the status: r.counted, or r.unproven if r.counted is
// empty.
func (r *rollup) deciding() *statusCounts {
	if total(&r.counted) == 0 {
		return &r.unproven
	}
	return &r.counted
}

// evaluate returns the status that rule and the policy of the service give, and the counts. If some
// instances count, the instances that have never sent a status are ignored. But a service with
// such instances is at best DEGRADED.
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
