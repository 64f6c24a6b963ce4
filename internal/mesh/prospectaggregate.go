package mesh

import (
	"slices"
	"sort"

	"github.com/meshhealth/meshhealth/health"
)

// prospectsOfAggregate returns the ways in which the status of a service, a zone or the mesh may
// change. members are the instances of a service whose deadlines are used.
func (i *inspector) prospectsOfAggregate(id health.ID, members []health.ID) []Prospect {
	zone, inZone := id.Zone()
	if id.Service == health.MeshName {
		z := &i.mesh.aggregates.mesh
		if inZone {
			z = i.mesh.aggregates.zones[zone]
		}
		return i.prospectsOfZone(z)
	}
	s := i.mesh.aggregates.services[id.Service]
	r, rule := &s.rollup, s.policy.Rule
	if inZone {
		r, rule = s.zones[zone], ruleInZone(s.policy.Rule)
	}
	judge := func(r *rollup) health.Status {
		status, _ := r.evaluate(rule, &s.policy)
		return status
	}
	var all []Prospect
	shadow := *r
	for _, turn := range i.memberTurns(s, zone, members) {
		before := judge(&shadow)
		shadow.add(turn.prev, -1)
		shadow.add(turn.next, 1)
		last := total(&shadow.all) == 0 // the aggregate is removed with its last member
		if after := judge(&shadow); (after != before || last) && len(all) < maxSteps {
			p := turn.prospect
			p.MemberTrigger, p.MemberTo, p.MemberCause, p.MemberRemoved = p.Trigger, p.To, p.Cause, p.Removed
			p.Trigger, p.To, p.Cause, p.Unconfirmed = TriggerMember, after, after.Cause(), false
			if p.Removed = last; last {
				p.To, p.Cause = health.Unknown, health.CauseNone
			}
			all = append(all, p)
		}
	}
	return append(all, countProspects(r, judge)...)
}

// memberTurn is one change of what an instance adds to its service.
type memberTurn struct {
	prospect   Prospect
	prev, next contribution
}

// memberTurns returns how time changes what members add to the service s, the earliest change
// first. It uses only members of s, and only those in the zone, if zone is not empty.
func (i *inspector) memberTurns(s *serviceAggregate, zone string, members []health.ID) []memberTurn {
	var turns []memberTurn
	for _, id := range members {
		in := i.mesh.instances[id]
		if in == nil || in.service != s || zone != "" && in.spec.Zone != zone {
			continue
		}
		f := i.futureOf(in)
		prev := in.counted
		for range maxSteps {
			at, trigger := f.next()
			if at == lastMoment || f.result.removed {
				break
			}
			f.step(at)
			next := contribution{}
			if !f.result.removed {
				next = f.in.contribution()
			}
			if next == prev {
				continue
			}
			p := f.prospect(trigger)
			p.Member, p.At, p.Removed = id, i.timeOf(max(at, i.now)), f.result.removed
			turns = append(turns, memberTurn{p, prev, next})
			prev = next
		}
	}
	slices.SortStableFunc(turns, func(a, b memberTurn) int { return a.prospect.At.Compare(b.prospect.At) })
	return turns
}

// countProspects returns how the status of a service changes if members recover or fail.
func countProspects(r *rollup, judge func(*rollup) health.Status) []Prospect {
	now := judge(r)
	var all []Prospect
	add := func(t Trigger, count int, to health.Status) {
		if to != now && count > 0 {
			all = append(all, Prospect{Trigger: t, Count: count, To: to, Cause: to.Cause()})
		}
	}
	unwell := r.counted[health.NotServing] + r.counted[health.Unknown] + r.counted[health.Degraded]
	recovered := func(n int) health.Status {
		return judge(r.moved(n, health.Serving, health.NotServing, health.Unknown, health.Degraded))
	}
	if better := sort.Search(unwell, func(n int) bool { return now.WorseThan(recovered(n + 1)) }) + 1; better <= unwell {
		add(TriggerRecovery, better, recovered(better))
		if better < unwell && recovered(unwell) != recovered(better) {
			add(TriggerRecovery, unwell, recovered(unwell))
		}
	}
	good := routable(&r.counted)
	lost := func(n int) health.Status {
		return judge(r.moved(n, health.NotServing, health.Serving, health.Degraded))
	}
	if worse := sort.Search(good, func(n int) bool { return lost(n + 1).WorseThan(now) }) + 1; worse <= good {
		add(TriggerLoss, worse, lost(worse))
		if down := sort.Search(good, func(n int) bool { return lost(n+1) == health.NotServing }) + 1; down <= good && lost(worse) != health.NotServing {
			add(TriggerLoss, down, health.NotServing)
		}
	}
	return all
}

// moved returns a copy of r in which n instances that count have the status to. They are taken from
// those with the statuses from, in this order.
func (r *rollup) moved(n int, to health.Status, from ...health.Status) *rollup {
	c := *r
	for _, s := range from {
		k := min(n, c.counted[s])
		n -= k
		c.counted[s] -= k
		c.counted[to] += k
		c.all[s] -= k
		c.all[to] += k
	}
	return &c
}

// prospectsOfZone returns the ways in which the status of a zone or of the mesh may change.
func (i *inspector) prospectsOfZone(z *zoneAggregate) []Prospect {
	var all []Prospect
	judged, _ := z.evaluate(&i.policy)
	if amnesty := &i.mesh.aggregates.amnesty; amnesty.armed() && judged != z.state.Status {
		all = append(all, Prospect{Trigger: TriggerAmnesty, At: i.timeOf(amnesty.at), To: judged, Cause: judged.Cause()})
	}
	well := *z
	unwell := wellServices(&well.normal) + wellServices(&well.critical)
	wellServices(&well.all)
	if to, _ := well.evaluate(&i.policy); unwell > 0 && to != z.state.Status {
		all = append(all, Prospect{Trigger: TriggerRecovery, Count: unwell, To: to, Cause: to.Cause()})
	}
	return all
}

// wellServices makes all services in counts SERVING that count and are not, and returns their number.
func wellServices(counts *statusCounts) (n int) {
	for _, s := range []health.Status{health.NotServing, health.Unknown, health.Degraded} {
		n += counts[s]
		counts[health.Serving] += counts[s]
		counts[s] = 0
	}
	return n
}
