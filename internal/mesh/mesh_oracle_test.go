package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// dumbInstance is a simple model of the layers report, reach and override. It has no
// deadlines: it remembers when each condition began, and checks all of them twice a second.
type dumbInstance struct {
	lease  uint64
	spec   *health.Spec
	static bool
	ttl    time.Duration

	said, received       health.Status // received is the last one; said may be worse
	hasReceived, lowered bool
	receivedFrom         health.Source
	why                  health.Cause
	source               health.Source
	heard, confirmed     bool

	waitingSince               time.Time // since when a stock SERVING waits
	polls                      int
	suspectSince, suspectUntil time.Time
	suspectLeft                time.Duration // the rest of the time while it is paused; then suspectUntil is zero
	lost, config               health.Cause
	renewing, notAsked         bool
	quota, strange             bool // the kind of the suspicion
	refusedSince               time.Time
	failedSince                time.Time
	malformedSince             time.Time

	session                  uint64
	answered, renewedBetween bool // on this session
	stranger                 bool

	leaseFrom, renewedAt time.Time // zero means no lease, or no renewal
	leaseLength          time.Duration
	expiredAt, born      time.Time
	pushers              int
	proven, aged         bool
	unheard              bool // no status was ever received
}

func (d *dumbInstance) leaving() bool {
	return d.said == health.Draining || d.said == health.Maintenance
}

// alone reports whether no evidence about the path counts.
func (d *dumbInstance) alone() bool {
	return d.said == health.Maintenance || d.said == health.Draining && !d.static
}

func (d *dumbInstance) renew(p *health.MeshPolicy, now time.Time) {
	if d.static {
		return
	}
	d.leaseFrom, d.renewedAt, d.leaseLength, d.expiredAt = now, now, d.ttl, time.Time{}
	d.renewedBetween = d.answered
	if d.lost == health.CauseLeaseExpired || d.lost == health.CauseUnreachable {
		d.renewing, d.notAsked = d.lost == health.CauseUnreachable && d.pushers == 0, false
		d.lost = health.CauseNone
		d.refusedSince, d.failedSince, d.malformedSince = time.Time{}, time.Time{}, time.Time{}
		d.suspect(p, now)
	}
}

// hear takes a valid answer. It reports whether the answer counts.
func (d *dumbInstance) hear(p *health.MeshPolicy, now time.Time, ev *Event) (counts bool) {
	push := ev.Kind == EventReport && ev.Report.Source == health.SourcePush
	own := ev.Proven || push
	d.stranger = d.stranger && push
	if !own && ev.Session != 0 {
		if d.session != ev.Session {
			d.session, d.answered, d.renewedBetween = ev.Session, true, false
		} else if d.renewedBetween {
			own = true
		}
	}
	if !d.expiredAt.IsZero() && !own {
		return false
	}
	waits := d.waitingSince
	d.reset(health.CauseNone, health.CauseNone)
	d.waitingSince = waits
	d.refusedSince, d.failedSince, d.malformedSince = time.Time{}, time.Time{}, time.Time{}
	if own {
		d.renew(p, now)
	}
	return true
}

func (d *dumbInstance) suspect(p *health.MeshPolicy, now time.Time) {
	if d.pushers > 0 || d.lost != health.CauseNone {
		return
	}
	d.waitingSince = time.Time{}
	if d.suspectSince.IsZero() || d.strange {
		d.suspectSince, d.suspectUntil = now, now.Add(p.UnreachableAfter)
	} else if d.suspectUntil.IsZero() {
		d.suspectUntil = now.Add(d.suspectLeft)
	}
	d.quota, d.strange = false, false
}

// fault takes an answer that makes the instance suspect, although the path works.
func (d *dumbInstance) fault(p *health.MeshPolicy, now time.Time) {
	d.suspect(p, now)
	d.renewing = false
}

// again reports whether the first evidence, noted at since, is a second old.
func again(now time.Time, since *time.Time) bool {
	if since.IsZero() {
		*since = now
	}
	return now.Sub(*since) >= time.Second
}

func (d *dumbInstance) lose(why health.Cause) {
	d.reset(why, health.CauseNone)
	stock := d.source == health.SourceWatch || d.source == health.SourcePoll
	if (stock || !d.heard) && !d.leaving() {
		d.said, d.why, d.heard, d.lowered = health.NotServing, why, true, true
	}
}

func (d *dumbInstance) reset(lost, config health.Cause) {
	d.lost, d.config, d.waitingSince, d.suspectSince, d.renewing, d.notAsked = lost, config, time.Time{}, time.Time{}, false, false
	d.quota, d.strange = false, false
}

func (d *dumbInstance) report(p *health.MeshPolicy, now time.Time, r *Report) {
	d.confirmed, d.unheard = true, false
	d.hasReceived, d.received, d.receivedFrom = true, r.Status, r.Source
	stock := r.Source == health.SourceWatch || r.Source == health.SourcePoll
	if stock && r.Status == health.Serving && d.heard && d.said != health.Serving && p.RecoverHold > 0 {
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
	if r.Cause != health.CauseNone {
		d.why = r.Cause
	}
}

func (d *dumbInstance) say(s health.Status) {
	d.said, d.why, d.heard, d.lowered = s, s.Cause(), true, false
}

// believe ends the wait of a stock SERVING. Time alone ends it for a watched target. A poll
// ends it only if RecoverHold has passed before.
func (d *dumbInstance) believe(p *health.MeshPolicy, now time.Time, byPoll bool) {
	held := now.Sub(d.waitingSince)
	if d.waitingSince.IsZero() || held < p.RecoverHold || byPoll && held == p.RecoverHold {
		return
	}
	if d.source == health.SourceWatch || d.polls >= p.RecoverAfter {
		d.waitingSince = time.Time{}
		d.say(health.Serving)
	}
}

func (d *dumbInstance) apply(p *health.MeshPolicy, now time.Time, ev *Event) {
	quiet := d.pushers > 0 || d.lost == health.CauseLeaseExpired
	switch ev.Kind {
	case EventReport:
		counts := d.hear(p, now, ev)
		d.hasReceived, d.received, d.receivedFrom = true, ev.Report.Status, ev.Report.Source
		if counts {
			d.report(p, now, &ev.Report)
		}
	case EventAlive:
		if d.hear(p, now, ev) && d.hasReceived && (d.lowered || d.received != d.said) {
			d.report(p, now, &Report{Source: d.receivedFrom, Status: d.received})
		}
	case EventRenew:
		d.renew(p, now)
	case EventPath:
		d.suspect(p, now)
	case EventNotAsked:
		if d.pushers > 0 || d.lost != health.CauseNone {
			return
		}
		d.notAsked = true
		if !d.suspectSince.IsZero() && !d.suspectUntil.IsZero() {
			d.suspectLeft, d.suspectUntil = d.suspectUntil.Sub(now), time.Time{}
		}
	case EventRefused:
		if quiet {
			return
		}
		if twice := again(now, &d.refusedSince); !twice || d.said == health.Draining && d.static {
			d.suspect(p, now)
			return
		}
		d.stranger = false
		d.lose(health.CauseRefused)
	case EventConfig:
		if !quiet {
			d.misconfigure(ev.Cause)
		}
	case EventMalformed:
		switch {
		case quiet:
		case again(now, &d.malformedSince):
			d.misconfigure(ev.Cause)
		default:
			d.fault(p, now)
		}
	case EventFailed:
		switch {
		case quiet:
		case again(now, &d.failedSince):
			since := d.failedSince
			d.reset(health.CauseNone, health.CauseNone)
			d.refusedSince, d.failedSince, d.malformedSince = time.Time{}, since, time.Time{}
			d.report(p, now, &Report{Source: ev.Report.Source, Status: health.NotServing, Cause: health.CauseFailed})
		default:
			d.fault(p, now)
		}
	case EventQuota:
		switch {
		case quiet:
		case d.lost != health.CauseNone || d.config == health.CauseQuota && d.suspectSince.IsZero():
			d.misconfigure(health.CauseQuota)
		default:
			d.fault(p, now)
			d.quota = true
		}
	case EventStranger:
		d.stranger = true
		if quiet {
			return
		}
		if d.lost == health.CauseNone && (d.config == health.CauseNone || !d.suspectSince.IsZero()) {
			d.fault(p, now)
			d.strange, d.suspectUntil, d.suspectLeft = true, time.Time{}, 0
		}
	case EventPushed:
		if ev.On {
			d.pushers++
		} else if d.pushers > 0 {
			d.pushers--
		}
	}
}

func (d *dumbInstance) misconfigure(why health.Cause) {
	d.reset(health.CauseNone, why)
	d.refusedSince, d.failedSince = time.Time{}, time.Time{}
}

// pass handles what time alone changes. It reports whether the instance is removed.
func (d *dumbInstance) pass(p *health.MeshPolicy, now time.Time) (gone bool) {
	over := func(since time.Time, length time.Duration) bool {
		return !since.IsZero() && now.Sub(since) >= length
	}
	d.believe(p, now, false)
	if over(d.suspectUntil, 0) && !d.suspectSince.IsZero() {
		if d.quota {
			d.misconfigure(health.CauseQuota)
		} else if !d.static && !d.renewedAt.IsZero() && now.Sub(d.renewedAt) < d.ttl/2 {
			d.renewing, d.suspectUntil = true, d.renewedAt.Add(d.ttl/2)
		} else if d.leaving() && !d.refusedSince.IsZero() {
			d.lose(health.CauseRefused)
		} else {
			d.lose(health.CauseUnreachable)
		}
	}
	if !d.static && over(d.leaseFrom, d.leaseLength) && d.expiredAt.IsZero() {
		if d.leaving() {
			return true
		}
		d.lose(health.CauseLeaseExpired)
		d.expiredAt = now
	}
	if p.DeregisterAfter >= 0 && over(d.expiredAt, p.DeregisterAfter) {
		return true
	}
	d.aged = d.aged || over(d.born, p.StartupGrace)
	return false
}

// dumbVerdict is the state that must be published.
type dumbVerdict struct {
	Status, Judged           health.Status
	Cause                    health.Cause
	Unconfirmed, Unreachable bool
	Proven, Stranger         bool
}

func (d *dumbInstance) verdict() dumbVerdict {
	v := dumbVerdict{Judged: d.said, Cause: d.why, Stranger: d.stranger}
	v.Unreachable = !d.static && (d.renewing || d.strange || d.config == health.CauseQuota)
	switch {
	case d.alone():
	case d.lost != health.CauseNone:
		v.Judged, v.Cause = health.NotServing, d.lost
	default:
		if d.config != health.CauseNone {
			v.Judged, v.Cause = health.Unknown, d.config
		}
		v.Unconfirmed = !d.suspectSince.IsZero() || d.notAsked
	}
	d.proven = d.proven || v.Judged.Routable()
	v.Status, v.Proven = v.Judged, d.proven
	return v
}

// forcing returns the override of an instance: the narrowest.
func (dm *dumbMesh) forcing(id health.ID) *health.Override {
	for _, scope := range []health.Scope{
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

func (dm *dumbMesh) verdict(id health.ID) dumbVerdict {
	v := dm.instances[id].verdict()
	if o := dm.forcing(id); o != nil {
		v.Status, v.Cause = o.Status, health.CauseForced
		if o.Status == health.Maintenance {
			v.Cause = health.CauseMaintenance
		}
	}
	return v
}

func (dm *dumbMesh) override(now time.Time, scope health.Scope, o *health.Override) {
	delete(dm.overrides, scope)
	delete(dm.goneAt, scope)
	if scope.Instance != "" && dm.instances[health.ID{Service: scope.Service, Instance: scope.Instance}] == nil {
		dm.goneAt[scope] = now
	}
	if o != nil && (o.ExpiresAt.IsZero() || o.ExpiresAt.After(now)) {
		dm.overrides[scope] = o
	}
}

// dumbMesh is a simple model of a mesh.
type dumbMesh struct {
	policy    health.MeshPolicy
	instances map[health.ID]*dumbInstance
	overrides map[health.Scope]*health.Override
	goneAt    map[health.Scope]time.Time // since when the instance is not registered
	amnesty   bool                       // it has not ended
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
		fresh := &dumbInstance{lease: ev.Lease, spec: ev.Spec, static: ev.Spec.Static, ttl: ev.Spec.TTL, said: health.Starting, why: health.CauseStarting, born: now, unheard: true}
		fresh.renew(p, now)
		if ev.Kind == EventLoad {
			fresh.load(p, now, ev.Loaded)
		}
		dm.instances[ev.ID] = fresh
		delete(dm.goneAt, health.ScopeOf(ev.ID))
	case d == nil || d.lease != ev.Lease:
	case ev.Kind == EventDeregister:
		dm.remove(now, ev.ID)
	default:
		d.apply(p, now, ev)
	}
}

func (d *dumbInstance) load(p *health.MeshPolicy, now time.Time, l *Loaded) {
	amnesty := max(p.Amnesty, 0)
	d.unheard = l.Unheard
	d.proven, d.leaseLength, d.renewedAt = l.Proven, d.ttl+amnesty, time.Time{}
	d.suspectSince, d.suspectUntil = now, now.Add(p.UnreachableAfter+amnesty)
	switch {
	case l.Status == health.Starting:
	case l.Trusted:
		d.say(l.Status)
		d.why, d.confirmed = l.Cause, !l.Unheard
	default:
		d.said, d.why = health.Unknown, health.CauseUnconfirmed
	}
}

// policyOf returns the policy that the last registered instance declares, with the
// configured fields in place of the declared ones.
func (dm *dumbMesh) policyOf(name string) health.ServicePolicy {
	var last *dumbInstance
	var lastID health.ID
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
	if last != nil && p.Rule == (health.Rule{}) {
		p.Rule = last.spec.Judge.Rule
	}
	if last != nil && p.MinAvailable == 0 {
		p.MinAvailable = last.spec.Judge.MinAvailable
	}
	if p.MinAvailable == 0 {
		p.MinAvailable = dm.policy.MinAvailable
	}
	if last != nil && !p.Critical && !p.Optional {
		p.Critical, p.Optional = last.spec.Judge.Critical, last.spec.Judge.Optional
	}
	return p
}

// remove removes an instance, but not its override.
func (dm *dumbMesh) remove(now time.Time, id health.ID) {
	delete(dm.instances, id)
	dm.goneAt[health.ScopeOf(id)] = now
}

func (dm *dumbMesh) pass(now time.Time) {
	for scope, o := range dm.overrides {
		gone, isGone := dm.goneAt[scope]
		if !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(now) || o.ExpiresAt.IsZero() && isGone && now.Sub(gone) >= 24*time.Hour {
			delete(dm.overrides, scope)
		}
	}
	for id, d := range dm.instances {
		d.verdict() // an instance that is routable for a moment is proven too
		if d.pass(&dm.policy, now) {
			dm.remove(now, id)
			continue
		}
		d.verdict()
	}
}

// service computes the status of a service from all its instances, or from those in a zone.
func (dm *dumbMesh) service(name, zone string) (status health.Status, counts health.Counts) {
	var all, counted, unproven, unheard []health.Status
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
		case v.Status == health.Draining || v.Status == health.Maintenance:
		case d.proven || d.aged && d.confirmed:
			counted = append(counted, v.Status)
		case d.aged:
			unproven = append(unproven, v.Status)
			if d.unheard {
				unheard = append(unheard, v.Status)
				all = all[:len(all)-1]
			}
		}
	}
	if len(counted) == 0 { // without others, the unproven ones count
		all, counted, unheard = append(all, unheard...), unproven, nil
	}
	counts.Unheard = len(unheard)
	counts.Counted = len(counted)
	p := dm.policyOf(name)
	percent := p.MinAvailable
	counts.Critical, counts.Optional = p.Critical, p.Optional
	if counts.Rule = p.Rule; zone != "" && p.Rule == health.AtLeast(2) {
		counts.Rule = health.Available // a number is not required of one zone
	}
	status = dumbAggregate(counts.Rule, all, counted, percent, grows)
	if len(unheard) > 0 && status == health.Serving {
		status = health.Degraded
	}
	return status, counts
}
