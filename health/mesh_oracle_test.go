package health

import "time"

// dumbInstance restates layers 1, 2 and 5 without a deadline in it: it
// remembers when things began and looks at all of them twice a second.
type dumbInstance struct {
	lease  uint64
	spec   *Spec
	static bool
	ttl    time.Duration

	said             Status
	why              Cause
	source           Source
	heard, confirmed bool

	waitingSince        time.Time // a stock SERVING waits
	polls               int
	doubtSince, doubtTo time.Time
	doubtLeft           time.Duration // while it stands still: doubtTo is zero
	lost, config        Cause
	renewing, unasked   bool
	refusedSince        time.Time

	leaseFrom, renewedAt time.Time // zero: no lease; no renewal
	leaseLength          time.Duration
	expiredAt, born      time.Time
	pushers              int
	proven, aged         bool
}

func (d *dumbInstance) leaving() bool { return d.said == Draining || d.said == Maintenance }

func (d *dumbInstance) renew(p *MeshPolicy, now time.Time) {
	if d.static {
		return
	}
	d.leaseFrom, d.renewedAt, d.leaseLength, d.expiredAt = now, now, d.ttl, time.Time{}
	if d.lost == CauseLeaseExpired || d.lost == CauseUnreachable {
		d.renewing, d.unasked = d.lost == CauseUnreachable, false
		d.lost, d.refusedSince = CauseNone, time.Time{}
		d.doubt(p, now)
	}
}

func (d *dumbInstance) reached(p *MeshPolicy, now time.Time) {
	d.doubtSince, d.lost, d.config, d.refusedSince, d.renewing, d.unasked = time.Time{}, CauseNone, CauseNone, time.Time{}, false, false
	d.renew(p, now)
}

func (d *dumbInstance) doubt(p *MeshPolicy, now time.Time) {
	if d.pushers > 0 || d.lost != CauseNone {
		return
	}
	d.waitingSince = time.Time{}
	switch {
	case d.doubtSince.IsZero():
		d.doubtSince, d.doubtTo = now, now.Add(p.UnreachableAfter)
	case d.doubtTo.IsZero():
		d.doubtTo = now.Add(d.doubtLeft)
	}
}

func (d *dumbInstance) lose(why Cause) {
	d.settle(why, CauseNone)
	stock := d.source == SourceWatch || d.source == SourcePoll
	if (stock || !d.heard) && !d.leaving() {
		d.said, d.why, d.heard = NotServing, why, true
	}
}

func (d *dumbInstance) settle(lost, config Cause) {
	d.lost, d.config, d.waitingSince, d.doubtSince, d.renewing, d.unasked = lost, config, time.Time{}, time.Time{}, false, false
}

func (d *dumbInstance) report(p *MeshPolicy, now time.Time, r *Report) {
	d.reached(p, now)
	d.confirmed = true
	stock := r.Source == SourceWatch || r.Source == SourcePoll
	if stock && r.Status == Serving && d.heard && d.said != Serving && p.RecoverHold > 0 {
		if d.waitingSince.IsZero() {
			d.waitingSince, d.polls = now, 0
		}
		d.source = r.Source
		d.polls++
		d.believe(p, now, true)
		return
	}
	d.waitingSince, d.source = time.Time{}, r.Source
	d.say(r.Status)
	if r.Cause != CauseNone {
		d.why = r.Cause
	}
}

func (d *dumbInstance) say(s Status) { d.said, d.why, d.heard = s, causeOf(s), true }

// believe ends a wait. A watched target has just time against it; a poll may
// end it only if the hold was over before.
func (d *dumbInstance) believe(p *MeshPolicy, now time.Time, byPoll bool) {
	held := now.Sub(d.waitingSince)
	if d.waitingSince.IsZero() || held < p.RecoverHold || byPoll && held == p.RecoverHold {
		return
	}
	if d.source == SourceWatch || d.polls >= p.RecoverAfter {
		d.waitingSince = time.Time{}
		d.say(Serving)
	}
}

func (d *dumbInstance) apply(p *MeshPolicy, now time.Time, ev *Event) {
	quiet := d.pushers > 0 || d.lost == CauseLeaseExpired
	switch ev.Kind {
	case EventReport:
		d.report(p, now, &ev.Report)
	case EventAlive:
		d.reached(p, now)
	case EventRenew:
		d.renew(p, now)
	case EventPath:
		d.doubt(p, now)
	case EventUnasked:
		if d.pushers > 0 || d.lost != CauseNone {
			return
		}
		d.unasked = true
		if !d.doubtSince.IsZero() && !d.doubtTo.IsZero() {
			d.doubtLeft, d.doubtTo = d.doubtTo.Sub(now), time.Time{}
		}
	case EventRefused:
		if quiet {
			return
		}
		if d.refusedSince.IsZero() {
			d.refusedSince = now
		}
		if now.Sub(d.refusedSince) < time.Second {
			d.doubt(p, now)
			return
		}
		d.lose(CauseRefused)
	case EventConfig:
		if quiet {
			return
		}
		d.settle(CauseNone, ev.Cause)
		d.refusedSince = time.Time{}
	case EventPushed:
		if ev.On {
			d.pushers++
		} else if d.pushers > 0 {
			d.pushers--
		}
	}
}

// pass looks at everything that time may have brought; it reports whether the
// instance is gone.
func (d *dumbInstance) pass(p *MeshPolicy, now time.Time) (gone bool) {
	over := func(since time.Time, length time.Duration) bool {
		return !since.IsZero() && now.Sub(since) >= length
	}
	d.believe(p, now, false)
	if over(d.doubtTo, 0) && !d.doubtSince.IsZero() {
		if !d.static && !d.renewedAt.IsZero() && now.Sub(d.renewedAt) < d.ttl/2 {
			d.renewing, d.doubtTo = true, d.renewedAt.Add(d.ttl/2)
		} else {
			d.lose(CauseUnreachable)
		}
	}
	if !d.static && over(d.leaseFrom, d.leaseLength) && d.expiredAt.IsZero() {
		if d.leaving() {
			return true
		}
		d.lose(CauseLeaseExpired)
		d.expiredAt = now
	}
	if p.DeregisterAfter >= 0 && over(d.expiredAt, p.DeregisterAfter) {
		return true
	}
	d.aged = d.aged || over(d.born, p.StartupGrace)
	return false
}

// dumbVerdict is what must be published.
type dumbVerdict struct {
	Status, Judged           Status
	Cause                    Cause
	Unconfirmed, Unreachable bool
	Proven                   bool
}

func (d *dumbInstance) verdict() dumbVerdict {
	v := dumbVerdict{Judged: d.said, Cause: d.why, Unreachable: d.renewing}
	switch {
	case d.leaving():
	case d.lost != CauseNone:
		v.Judged, v.Cause = NotServing, d.lost
	default:
		if d.config != CauseNone {
			v.Judged, v.Cause = Unknown, d.config
		}
		v.Unconfirmed = !d.doubtSince.IsZero() || d.unasked
	}
	d.proven = d.proven || v.Judged.Routable()
	v.Status, v.Proven = v.Judged, d.proven
	return v
}

// forcing is what a person wants of a name: of the narrowest that is for it, the
// latest.
func (dm *dumbMesh) forcing(id ID) *Override {
	for _, scope := range []Scope{
		{Service: id.Service, Instance: id.Instance},
		{Service: id.Service, Zone: "z" + id.Instance},
		{Service: id.Service},
		{Zone: "z" + id.Instance},
	} {
		if o := dm.overrides[scope]; o != nil {
			return o
		}
	}
	return nil
}

func (dm *dumbMesh) verdict(id ID) dumbVerdict {
	v := dm.instances[id].verdict()
	if o := dm.forcing(id); o != nil {
		v.Status, v.Cause = o.Status, CauseForced
		if o.Status == Maintenance {
			v.Cause = CauseMaintenance
		}
	}
	return v
}

func (dm *dumbMesh) override(now time.Time, scope Scope, o *Override) {
	delete(dm.overrides, scope)
	if scope.Instance != "" && dm.instances[ID{scope.Service, scope.Instance}] == nil {
		return // nobody to force
	}
	if o != nil && (o.ExpiresAt.IsZero() || o.ExpiresAt.After(now)) {
		dm.overrides[scope] = o
	}
}

// dumbMesh is all instances, by name.
type dumbMesh struct {
	policy    MeshPolicy
	instances map[ID]*dumbInstance
	overrides map[Scope]*Override
}

func (dm *dumbMesh) apply(now time.Time, ev *Event) {
	p, d := &dm.policy, dm.instances[ev.ID]
	switch {
	case ev.Kind == EventOverride:
		dm.override(now, ev.Scope, ev.Override)
	case ev.Kind == EventRegister && d != nil && d.lease == ev.Lease:
		d.spec = ev.Spec
		d.renew(p, now)
	case ev.Kind == EventRegister || ev.Kind == EventLoad:
		fresh := &dumbInstance{lease: ev.Lease, spec: ev.Spec, static: ev.Spec.Static, ttl: ev.Spec.TTL, said: Starting, why: CauseStarting, born: now}
		fresh.renew(p, now)
		if ev.Kind == EventLoad {
			fresh.load(p, now, ev.Loaded)
		}
		dm.instances[ev.ID] = fresh
	case d == nil || d.lease != ev.Lease:
	case ev.Kind == EventDeregister:
		dm.remove(ev.ID)
	default:
		d.apply(p, now, ev)
	}
}

func (d *dumbInstance) load(p *MeshPolicy, now time.Time, l *Loaded) {
	amnesty := max(p.Amnesty, 0)
	d.proven, d.leaseLength, d.renewedAt = l.Proven, d.ttl+amnesty, time.Time{}
	d.doubtSince, d.doubtTo = now, now.Add(p.UnreachableAfter+amnesty)
	switch {
	case l.Status == Starting:
	case l.Trusted:
		d.say(l.Status)
		d.why, d.confirmed = l.Cause, true
	default:
		d.said, d.why = Unknown, CauseUnconfirmed
	}
}

// policyOf looks for what the latest of the instances says, and takes what is
// configured instead where there is something.
func (dm *dumbMesh) policyOf(name string) ServicePolicy {
	var last *dumbInstance
	var lastID ID
	for id, d := range dm.instances {
		if id.Service != name || d.spec.Judge == nil {
			continue
		}
		if last == nil || d.spec.RegisteredAt.After(last.spec.RegisteredAt) ||
			d.spec.RegisteredAt.Equal(last.spec.RegisteredAt) && id.Instance > lastID.Instance {
			last, lastID = d, id
		}
	}
	p := dm.policy.Services[name]
	if last != nil && p.Rule == (Rule{}) {
		p.Rule = last.spec.Judge.Rule
	}
	if last != nil && p.MinAvailable == 0 {
		p.MinAvailable = last.spec.Judge.MinAvailable
	}
	if p.MinAvailable == 0 {
		p.MinAvailable = dm.policy.MinAvailable
	}
	p.Optional = p.Optional || last != nil && last.spec.Judge.Optional
	return p
}

// remove forgets a name, with what was forced on just it.
func (dm *dumbMesh) remove(id ID) {
	delete(dm.instances, id)
	delete(dm.overrides, Scope{Service: id.Service, Instance: id.Instance})
}

func (dm *dumbMesh) pass(now time.Time) {
	for scope, o := range dm.overrides {
		if !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(now) {
			delete(dm.overrides, scope)
		}
	}
	for id, d := range dm.instances {
		d.verdict() // what is routable for a moment only is proven all the same
		if d.pass(&dm.policy, now) {
			dm.remove(id)
			continue
		}
		d.verdict()
	}
}

// service rescans the instances of one, in one zone or in all.
func (dm *dumbMesh) service(name, zone string) (status Status, counts Counts) {
	var all, counted, unproven []Status
	grows := false
	for id, d := range dm.instances {
		if id.Service != name || zone != "" && zone != "z"+id.Instance {
			continue
		}
		v := dm.verdict(id)
		grows = grows || !d.aged
		all = append(all, v.Status)
		counts.By[v.Status]++
		if v.Unconfirmed {
			counts.Unconfirmed++
		}
		switch {
		case v.Status == Draining || v.Status == Maintenance:
		case d.proven || d.aged && d.confirmed:
			counted = append(counted, v.Status)
		case d.aged:
			unproven = append(unproven, v.Status)
		}
	}
	if len(counted) == 0 {
		counted = unproven
	}
	counts.Counted = len(counted)
	p := dm.policyOf(name)
	percent := p.MinAvailable
	if counts.Rule = p.Rule; zone != "" && p.Rule == AtLeast(2) {
		counts.Rule = Available // two in one zone nobody asked for
	}
	return dumbAggregate(counts.Rule, all, counted, percent, grows), counts
}
