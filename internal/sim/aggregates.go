package sim

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
)

// census has the number of instances of one service for each published status. The oracle
// makes a census from its records whenever it checks the service.
type census struct {
	all         [health.NumStatuses]int // every registered instance
	counted     [health.NumStatuses]int // the instances that count in the status of the service
	unproven    [health.NumStatuses]int // instances that count only if no other instance counts
	expected    [health.NumStatuses]int // registered instances, without the instances that the field unheard counts
	unheard     int                     // number of instances that do not count because they never sent a status
	unconfirmed int
	young       bool
}

// aggregateChecks has the checks that compare the published status of services, zones and the
// mesh with the published statuses of the instances.
type aggregateChecks struct{ *oracle }

// checkServices checks the published status of every service whose instances have changed
// since the last call. If there is such a service, it also checks the mesh and the zones.
func (o aggregateChecks) checkServices() {
	for _, s := range o.w.services {
		if o.dirty[s.Name] {
			o.checkService(s)
		}
	}
	if len(o.dirty) > 0 {
		o.checkMesh()
	}
	clear(o.dirty)
}

func (o aggregateChecks) census(s *service) (c census) {
	for _, in := range s.instances {
		r := o.records[in.id]
		if r == nil {
			continue
		}
		status := r.state.Status
		aged := o.due(r.born, r.grace)
		c.all[status]++
		c.expected[status]++
		c.unconfirmed += count(r.state.Unconfirmed)
		c.young = c.young || !aged
		switch {
		case status == health.Draining || status == health.Maintenance:
		case r.state.Proven || r.state.Cause == health.CauseFlapping || aged && r.confirmed:
			c.counted[status]++
		case aged:
			c.unproven[status]++
			if r.unheard {
				c.unheard++
				c.expected[status]--
			}
		}
	}
	if sum(&c.counted) == 0 {
		c.counted, c.expected, c.unheard = c.unproven, c.all, 0
	}
	return c
}

func sum(by *[health.NumStatuses]int) (n int) {
	for _, k := range by {
		n += k
	}
	return n
}

func (o aggregateChecks) checkService(s *service) {
	c := o.census(s)
	have := o.aggregates[health.ID{Service: s.Name}]
	if have == nil {
		if sum(&c.all) != 0 {
			o.w.fail("counts", "%s has %v, and is not published", s.Name, c.all)
		}
		return
	}
	if have.Counts.By != c.all || have.Counts.Counted != sum(&c.counted) || have.Counts.Unconfirmed != c.unconfirmed {
		o.w.fail("counts", "%s counts %+v; there are %v, %v of them count, %d are unconfirmed", s.Name, *have.Counts, c.all, c.counted, c.unconfirmed)
	}
	least := s.Policy.MinAvailable
	if least == 0 {
		least = o.policy().MinAvailable
	}
	want := verdict(s.Policy.Rule, &c, least)
	if want == health.Serving && c.unheard > 0 {
		want = health.Degraded
	}
	if have.Status != want {
		o.w.fail("aggregate", "%s is %s, want %s of %+v by %s", s.Name, have.Status, want, c, s.Policy.Rule)
	}
	if bits := o.expected[s.Name]; bits != 0 && bits&(1<<have.Status) == 0 {
		o.w.fail("expected", "%s is %s of %v", s.Name, have.Status, c.all)
	}
}

// verdict computes the status of a service from the counts in c. It is written independently of
// package mesh, so that the two can be compared. least is the MinAvailable of the policy, in
// percent.
func verdict(rule health.Rule, c *census, least int) health.Status {
	if rule == (health.Rule{}) {
		rule = health.Available // the default rule
	}
	n, by := sum(&c.counted), &c.counted
	gone := c.expected[health.Draining] + c.expected[health.Maintenance]
	switch {
	case sum(&c.all) == 0:
		return health.Unknown
	case n == 0 && sum(&c.expected) > gone:
		return health.Starting
	case n == 0 && c.all[health.Draining] > 0:
		return health.Draining
	case n == 0:
		return health.Maintenance
	case rule == health.Worst:
		return worst(by)
	case rule == health.Available && by[health.Serving] == n:
		return health.Serving
	case rule == health.Available:
		return enough(by, percent(n, least))
	}
	return quorum(rule, c, sum(&c.expected)-gone-n)
}

func percent(n, p int) int {
	need := 1
	for need*100 < n*p {
		need++
	}
	return need
}

func worst(by *[health.NumStatuses]int) health.Status {
	for _, s := range []health.Status{health.NotServing, health.Unknown, health.Degraded, health.Serving} {
		if by[s] > 0 {
			return s
		}
	}
	return health.Starting
}

func enough(by *[health.NumStatuses]int, need int) health.Status {
	routable := by[health.Serving] + by[health.Degraded]
	switch {
	case routable >= need:
		return health.Degraded
	case routable+by[health.Unknown] >= need:
		return health.Unknown
	}
	return health.NotServing
}

// quorum computes the status of a service that has the rule at-least-K or percent-P. It is
// written independently of package mesh. coming is the number of instances that do not count
// yet, but will count later.
func quorum(rule health.Rule, c *census, coming int) health.Status {
	by, n := &c.counted, sum(&c.counted)
	need, grows := need(rule, n)
	alive := by[health.Serving] + by[health.Degraded] + by[health.Unknown]
	if by[health.Serving] >= need {
		return health.Serving
	}
	if s := enough(by, need); s != health.NotServing {
		return s
	}
	if alive+coming >= need || grows && c.young && alive == n {
		return health.Starting
	}
	return health.NotServing
}

func need(rule health.Rule, n int) (need int, grows bool) {
	for k := 1; k <= 100; k++ {
		switch rule {
		case health.AtLeast(k):
			return k, true
		case health.Percent(k):
			return percent(n, k), false
		}
	}
	return 0, false
}

// serviceState is the published status of a service, or of the instances that the service has
// in one zone.
type serviceState struct {
	status             health.Status
	critical, optional bool
}

func (p serviceState) counts() bool {
	switch p.status {
	case health.Starting, health.Draining, health.Maintenance:
		return false
	}
	return !p.optional
}

// checkMesh checks that the published status of the mesh and of each zone follows from the
// published statuses of the services.
func (o aggregateChecks) checkMesh() {
	most := 0
	for _, s := range o.w.services {
		most = max(most, s.Zones)
	}
	o.checkMeshIn("")
	for n := range most {
		o.checkMeshIn(fmt.Sprint("z", n))
	}
}

// checkMeshIn checks the published status of one zone, or of the mesh if zone is empty.
func (o aggregateChecks) checkMeshIn(zone string) {
	have := o.aggregates[health.ID{Service: health.MeshName, Instance: zone}]
	parts := o.serviceStates(zone)
	if have == nil {
		if len(parts) > 0 && o.revision > 0 {
			o.w.fail("mesh", "zone %q has %v, and is not published", zone, parts)
		}
		return
	}
	want := meshStatus(parts, o.policy())
	early := want == health.Unknown && len(parts) > 0 && o.policy().Amnesty > 0 && !o.due(o.w.coord.startedAt, o.policy().Amnesty)
	if early {
		want = health.Degraded
	}
	var by [health.NumStatuses]int
	counted := 0
	for _, p := range parts {
		by[p.status]++
		counted += count(p.counts())
	}
	if have.Status != want || have.Unconfirmed != early || have.Counts.By != by || have.Counts.Counted != counted {
		o.w.fail("mesh", "zone %q is %s (unconfirmed: %t) %+v; want %s (%t) of %v", zone, have.Status, have.Unconfirmed, *have.Counts, want, early, parts)
	}
}

func (o aggregateChecks) serviceStates(zone string) (parts []serviceState) {
	for _, s := range o.w.services {
		id := health.ID{Service: s.Name}
		if zone != "" {
			id.Instance = "@" + zone
		}
		if p := o.aggregates[id]; p != nil {
			parts = append(parts, serviceState{p.Status, s.Policy.Critical, s.Policy.Optional})
		}
	}
	return parts
}

// meshStatus computes the status of the mesh or of a zone from the statuses of its services.
// It is written independently of package mesh, so that the two can be compared.
func meshStatus(parts []serviceState, p *health.MeshPolicy) health.Status {
	var normal, routable, unknown, criticalDown, counted, lacking, unknowns int
	for _, s := range parts {
		if !s.counts() {
			continue
		}
		counted++
		lacking += count(s.status != health.Serving)
		unknowns += count(s.status == health.Unknown)
		if s.critical {
			criticalDown += count(s.status == health.NotServing)
			continue
		}
		normal++
		routable += count(s.status == health.Serving || s.status == health.Degraded)
		unknown += count(s.status == health.Unknown)
	}
	if normal > 0 && p.MeshRule != health.Worst {
		need := percent(normal, p.MeshMinAvailable)
		switch {
		case counted == unknowns:
			return health.Unknown
		case criticalDown > 0 || routable+unknown < need:
			return health.NotServing
		case routable < need:
			return health.Unknown
		}
	}
	switch {
	case counted == 0:
		return meshStatusUncounted(parts, p.MeshRule == health.Worst)
	case counted == unknowns:
		return health.Unknown
	case criticalDown > 0, p.MeshRule == health.Worst && normal-routable-unknown > 0:
		return health.NotServing
	case lacking > 0:
		return health.Degraded
	}
	return health.Serving
}

// meshStatusUncounted returns the status of the mesh if no service counts in it. The status is
// STARTING if any service is STARTING. Otherwise it is the worst status of a service. byWorst
// is true if the mesh has the rule worst, which ignores optional services.
func meshStatusUncounted(parts []serviceState, byWorst bool) health.Status {
	rank := []health.Status{health.Serving, health.Degraded, health.Maintenance, health.Draining, health.Unknown, health.NotServing, health.Starting}
	if len(parts) == 0 {
		return health.Unknown
	}
	worst := 0
	for _, s := range parts {
		for n := range rank {
			if rank[n] == s.status && !(byWorst && s.optional) {
				worst = max(worst, n)
			}
		}
	}
	return rank[worst]
}
