package sim

import "github.com/meshhealth/meshhealth/health"

// census is a count from scratch.
type census struct {
	all, counted, unproven [health.NumStatuses]int
	unconfirmed            int
	young                  bool
}

// checkServices counts every service anew of which anything has changed, and
// the mesh of what is published of services.
func (o *oracle) checkServices() {
	for _, s := range o.w.services {
		if o.dirty[s.Name] {
			o.checkService(s)
		}
	}
	if len(o.dirty) > 0 {
		o.checkWhole()
	}
	clear(o.dirty)
}

func (o *oracle) census(s *service) (c census) {
	for _, in := range s.instances {
		r := o.records[in.id]
		if r == nil {
			continue
		}
		status := r.state.Status
		aged := o.due(r.born, o.policy().StartupGrace)
		c.all[status]++
		c.unconfirmed += count(r.state.Unconfirmed)
		c.young = c.young || !aged
		switch {
		case status == health.Draining || status == health.Maintenance:
		case r.state.Proven || aged && r.confirmed:
			c.counted[status]++
		case aged:
			c.unproven[status]++
		}
	}
	if sum(&c.counted) == 0 {
		c.counted = c.unproven
	}
	return c
}

func sum(by *[health.NumStatuses]int) (n int) {
	for _, k := range by {
		n += k
	}
	return n
}

func (o *oracle) checkService(s *service) {
	c := o.census(s)
	have := o.wholes[health.ID{Service: s.Name}]
	if have == nil {
		if sum(&c.all) != 0 {
			o.w.fail("counts", "%s has %v, and is not published", s.Name, c.all)
		}
		return
	}
	if have.Counts.By != c.all || have.Counts.Counted != sum(&c.counted) || have.Counts.Unconfirmed != c.unconfirmed {
		o.w.fail("counts", "%s counts %+v; there are %v, of whom count %v, unconfirmed %d", s.Name, *have.Counts, c.all, c.counted, c.unconfirmed)
	}
	least := s.Policy.MinAvailable
	if least == 0 {
		least = o.policy().MinAvailable
	}
	if want := verdict(s.Policy.Rule, &c, least); have.Status != want {
		o.w.fail("aggregate", "%s is %s, want %s of %+v by %s", s.Name, have.Status, want, c, s.Policy.Rule)
	}
	if bits := o.expected[s.Name]; bits != 0 && bits&(1<<have.Status) == 0 {
		o.w.fail("expected", "%s is %s of %v", s.Name, have.Status, c.all)
	}
}

// verdict restates the rules.
func verdict(rule health.Rule, c *census, least int) health.Status {
	if rule == (health.Rule{}) {
		rule = health.Available // nobody has chosen one
	}
	n, by := sum(&c.counted), &c.counted
	gone := c.all[health.Draining] + c.all[health.Maintenance]
	switch {
	case sum(&c.all) == 0:
		return health.Unknown
	case n == 0 && sum(&c.all) > gone:
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
	return quorum(rule, c, sum(&c.all)-gone-n)
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

// quorum restates at-least-k and percent-p, by their names.
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

// checkWhole is the mesh: the worst of the services that count and matter.
func (o *oracle) checkWhole() {
	have := o.wholes[health.ID{Service: health.MeshName}]
	if have == nil {
		return
	}
	var all, needed, counted [health.NumStatuses]int
	for _, s := range o.w.services {
		w := o.wholes[health.ID{Service: s.Name}]
		if w == nil {
			continue
		}
		all[w.Status]++
		if s.Policy.Optional {
			continue
		}
		needed[w.Status]++
		if w.Counts.Counted > 0 {
			counted[w.Status]++
		}
	}
	if have.Counts.By != all || have.Counts.Counted != sum(&counted) || have.Status != whole(all, counted, needed) {
		o.w.fail("mesh", "it is %s %+v; of services there are %v, of whom count %v", have.Status, *have.Counts, all, counted)
	}
}

func whole(all, counted, needed [health.NumStatuses]int) health.Status {
	switch {
	case sum(&all) == 0:
		return health.Unknown
	case sum(&needed) == 0:
		return health.Serving
	case sum(&counted) == 0:
		return verdict(health.Available, &census{all: needed}, 0)
	}
	counted[health.Degraded] += counted[health.Unknown]
	counted[health.Unknown] = 0
	return worst(&counted)
}
