package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// awake is called before the owner does anything.
func (o *oracle) awake() {
	for _, z := range o.zones {
		z.before = z.tripped
	}
}

// applied takes what the mesh was told, and what it made of it.
func (o *oracle) applied(m *message, changes []health.Change) {
	ev := &m.ev
	r := o.records[ev.ID]
	if r != nil {
		o.age(r, o.noticed)
	}
	kind := ev.Kind
	switch {
	case m.override:
		if r != nil {
			o.override(r, ev.Override)
		}
	case kind == health.EventLoad:
		o.load(o.register(m), ev.Loaded)
	case kind == health.EventRegister && (r == nil || r.lease != ev.Lease):
		o.register(m)
	case r == nil || r.lease != ev.Lease:
		if len(changes) > 0 {
			o.w.fail("superseded", "%s: evidence %d under lease %x, which is not its, led to %+v", ev.ID, kind, ev.Lease, changes[0].State)
		}
		return
	case kind == health.EventDeregister:
		r.length = 0 // it may go
		r.ended = o.stamp()
	default:
		o.evidence(r, ev)
	}
	if r = o.records[ev.ID]; r != nil {
		o.touch(r)
	}
	o.told(changes)
	o.turnZones()
}

func (o *oracle) register(m *message) *record {
	r := &record{in: m.in, lease: m.ev.Lease, static: m.ev.Spec.Static, length: m.ev.Spec.TTL, said: health.Starting}
	r.state.ID, r.born, r.forcedTo = m.in.id, o.stamp(), never
	if old := o.records[m.in.id]; old != nil {
		r.state, r.known, r.doubted = old.state, old.known, old.doubted
		r.forced, r.forcedTo, r.moves, r.flapping = old.forced, old.forcedTo, old.moves+1, old.flapping
		o.unclear(old, false)
	}
	o.records[m.in.id] = r
	o.renew(r)
	return r
}

func (o *oracle) load(r *record, l *health.Loaded) {
	amnesty := max(o.policy().Amnesty, 0)
	r.extra, r.doubt, r.loaded = amnesty, o.stamp(), true
	r.length += amnesty
	r.byItself = false
	switch {
	case l.Status == health.Starting:
	case l.Trusted:
		r.said, r.seen, r.confirmed = l.Status, true, true
	default:
		r.said = health.Unknown
	}
}

func (o *oracle) override(r *record, v *health.Override) {
	r.forced, r.forcedTo = v, never
	if v != nil && !v.ExpiresAt.IsZero() {
		r.forcedTo = o.w.now + v.ExpiresAt.Sub(o.w.coord.clock.at(o.w.now))
		if r.forcedTo <= o.w.now {
			r.forced = nil
		}
	}
}

// evidence is what came under the right lease.
func (o *oracle) evidence(r *record, ev *health.Event) {
	deaf := r.pushers > 0 || r.expired.set && !r.held
	switch ev.Kind {
	case health.EventReport:
		o.reached(r)
		o.report(r, &ev.Report)
	case health.EventAlive:
		o.reached(r)
	case health.EventRegister, health.EventRenew:
		o.renew(r)
	case health.EventPushed:
		r.push(ev.On)
	case health.EventPath:
		if r.pushers == 0 && !r.lost() {
			o.distrust(r)
			r.silent = true
		}
	case health.EventRefused:
		if !deaf {
			o.refuse(r)
		}
	case health.EventConfig:
		if !deaf {
			o.reached0(r)
			r.config, r.waiting, r.expired = true, stamp{}, stamp{}
		}
	}
}

func (r *record) push(on bool) {
	if on {
		r.pushers++
	} else {
		r.pushers = max(0, r.pushers-1)
	}
}

// lost reports whether it was given up, be it that a guard holds that.
func (r *record) lost() bool { return r.refused || r.gone || r.held || r.expired.set }

// reached0 ends all doubt but that of the lease.
func (o *oracle) reached0(r *record) {
	if r.lost() || r.config || r.doubt.set {
		r.moves++
	}
	r.doubt, r.silent, r.loaded, r.refusedAt, r.refused, r.config = stamp{}, false, false, 0, false, false
	r.gone, r.held, r.extra = false, false, 0
	o.unclear(r, false)
}

func (o *oracle) reached(r *record) {
	o.reached0(r)
	r.expired = stamp{}
	o.renew(r)
}

// renew begins the lease anew. Who was given up for its silence is in doubt
// again.
func (o *oracle) renew(r *record) {
	if r.static {
		return
	}
	expired, unreachable := r.expired.set, (r.gone || r.held) && !r.expired.set
	r.renewed, r.byItself, r.expired, r.ended = o.stamp(), true, stamp{}, stamp{}
	r.length = ttl
	if expired || unreachable {
		loaded := r.loaded // it was not heard for that
		o.reached0(r)
		r.expired, r.loaded = stamp{}, loaded
		o.distrust(r)
		r.silent = unreachable && r.doubt.set
	}
}

// distrust begins doubt, or goes on with it.
func (o *oracle) distrust(r *record) {
	if r.pushers > 0 || r.lost() {
		return
	}
	r.waiting = stamp{}
	if !r.doubt.set {
		r.doubt = o.stamp()
	}
}

// refuse counts a refusal; the second, a second later, decides.
func (o *oracle) refuse(r *record) {
	if r.refusedAt == 0 {
		r.refusedAt = o.w.now
	}
	if o.w.now-r.refusedAt < time.Second {
		o.distrust(r)
		return
	}
	r.refused, r.moves = true, r.moves+1
	r.doubt, r.silent, r.loaded, r.config, r.gone, r.held, r.expired = stamp{}, false, false, false, false, false, stamp{}
	o.unclear(r, false)
	r.lower()
}

// lower is what being given up does to what it said: a stock target has to
// hold SERVING anew, and so has one that was never heard.
func (r *record) lower() {
	r.waiting = stamp{}
	if (stock(r.source) || !r.seen) && !r.leaving() {
		r.said, r.seen, r.also = health.NotServing, true, false
	}
}

func (o *oracle) report(r *record, rep *health.Report) {
	r.confirmed = true
	if stock(rep.Source) && rep.Status == health.Serving && r.seen && r.said != health.Serving && o.policy().RecoverHold > 0 {
		if !r.waiting.set {
			r.waiting, r.polls = o.stamp(), 0
		}
		r.source = rep.Source
		r.polls++
		return
	}
	if r.said != rep.Status {
		r.moves++
	}
	r.waiting, r.seen, r.also = stamp{}, true, false
	r.said, r.source = rep.Status, rep.Source
}

// unclear counts those of whom it cannot be seen how they stand.
func (o *oracle) unclear(r *record, is bool) {
	if r.vague != is {
		r.vague = is
		o.vague++
		if !is {
			o.vague -= 2
		}
	}
}
