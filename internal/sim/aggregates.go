package sim

import (
	"fmt"

	"github.com/meshhealth/meshhealth/health"
)

// census has the counts of the instances of one service. It is computed anew from the records
// each time.
type census struct {
	all, counted, unproven [health.NumStatuses]int
	unheard                int // instances that do not count because they never sent a status; expected leaves them out
	expected               [health.NumStatuses]int
	unconfirmed            int
	young                  bool
}

// aggregateChecks compare the published aggregates with the published instances.
type aggregateChecks struct{ *oracle }

// checkServices checks the aggregate of every service that has changed. If one has, it also
// checks the aggregates of the mesh and of the zones.
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

// verdict is a second implementation of the rules of a service.
func verdict(rule health.Rule, c *census, least int) health.Status {
	if rule == (health.Rule{}) {
		rule = health.Available // the default
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

// quorum is a second implementation of the rules at-least-k and percent-p.
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

// serviceState is the published status of a service, or of its part in a zone.
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

// checkMesh checks the aggregates of the mesh and of each zone against the aggregates of the
// services.
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

// checkMeshIn checks the aggregate of one zone, or of the mesh if zone is empty.
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

// meshStatus is a second implementation of the rules of the mesh.
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

// meshStatusUncounted returns the status of the mesh if no service counts. It is STARTING if
// any service is, and otherwise the worst status. The rule worst ignores optional services.
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
