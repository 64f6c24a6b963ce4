package mesh

import "github.com/meshhealth/meshhealth/health"

// zoneAggregate counts the services in a zone, or in the mesh.
type zoneAggregate struct {
	state health.State
	all   statusCounts
	// normal has the counts of the normal services, which are neither critical nor optional.
	// critical has the counts of the critical services. all has the counts of all services, also of
	// the optional services.
	normal, critical statusCounts
}

// serviceContribution is what a service adds to the counts of a zone or of the mesh. The zero
// value adds nothing.
type serviceContribution struct {
	present            bool // false only for the zero value
	optional, critical bool // at most one is true; both are false for a normal service
	status             health.Status
}

// contributionTo returns what the service of r adds to its zone or to the mesh. p is the policy
// of the service.
func (r *rollup) contributionTo(p *health.ServicePolicy) serviceContribution {
	return serviceContribution{present: true, status: r.state.Status, optional: p.Optional, critical: p.Critical}
}

// add adds c to the counts if n is 1, and subtracts it if n is -1.
func (z *zoneAggregate) add(c serviceContribution, n int) {
	if !c.present {
		return
	}
	z.all[c.status] += n
	switch {
	case c.critical:
		z.critical[c.status] += n
	case !c.optional:
		z.normal[c.status] += n
	}
}

// empty reports whether the zone or the mesh has no services.
func (z *zoneAggregate) empty() bool { return total(&z.all) == 0 }

// countedServices returns the number of services that count. A service that is STARTING,
// DRAINING or in MAINTENANCE does not count.
func countedServices(counts *statusCounts) int {
	return routable(counts) + counts[health.NotServing] + counts[health.Unknown]
}

// evaluate returns the status of the zone or mesh by the rule in p, and the counts.
func (z *zoneAggregate) evaluate(p *health.MeshPolicy) (health.Status, health.Counts) {
	normal := countedServices(&z.normal)
	counts := health.Counts{By: z.all, Counted: normal + countedServices(&z.critical), Rule: p.MeshRule}
	if p.MeshRule == health.Worst {
		return z.evaluateWorst(), counts
	}
	counts.CriticalDown = z.critical[health.NotServing]
	if normal > 0 {
		counts.Normal, counts.Routable, counts.Need = normal, routable(&z.normal), percentOf(normal, p.MeshMinAvailable)
	}
	return z.evaluateAvailable(&counts), counts
}

// evaluateAvailable returns the status of the zone or mesh by the rule Available.
func (z *zoneAggregate) evaluateAvailable(counts *health.Counts) health.Status {
	switch {
	case counts.Counted == 0:
		return firstOf(&z.all, health.Unknown,
			health.Starting, health.NotServing, health.Unknown, health.Draining, health.Maintenance, health.Degraded, health.Serving)
	case z.normal[health.Unknown]+z.critical[health.Unknown] == counts.Counted:
		return health.Unknown
	case counts.CriticalDown > 0:
		return health.NotServing
	}
	if counts.Normal > 0 {
		if s := evaluateRoutable(&z.normal, counts.Need); !s.Routable() {
			return s
		}
	}
	if z.normal[health.Serving]+z.critical[health.Serving] == counts.Counted {
		return health.Serving
	}
	return health.Degraded
}

// evaluateWorst returns the worst status of the services that are not optional. UNKNOWN counts
// as DEGRADED, unless all services that count are UNKNOWN.
func (z *zoneAggregate) evaluateWorst() health.Status {
	needed := z.normal
	for s, n := range z.critical {
		needed[s] += n
	}
	counted := needed
	counted[health.Starting], counted[health.Draining], counted[health.Maintenance] = 0, 0, 0
	switch n := total(&counted); {
	case n > 0 && counted[health.Unknown] == n:
		return health.Unknown
	case n > 0:
		counted[health.Degraded] += counted[health.Unknown]
		counted[health.Unknown] = 0
		return worstOf(&counted)
	case total(&needed) > 0:
		return evaluateUncounted(&needed)
	case !z.empty():
		return health.Serving
	}
	return health.Unknown
}

// ruleInZone returns the rule for the instances of a service in one zone. A rule that needs
// several instances is meant for all zones together. Therefore the rule Available replaces it.
func ruleInZone(r health.Rule) health.Rule {
	if need, ok := r.Need(1); ok && need > 1 {
		return health.Available
	}
	return r
}
