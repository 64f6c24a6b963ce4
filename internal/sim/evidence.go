package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// noteStep stores which guards are tripped. It must be called before each call of core.Step.
func (o *oracle) noteStep() {
	for _, z := range o.zones {
		z.before = z.tripped
	}
}

// noteEvent updates the record of an instance after the mesh has received an event about the
// instance. It then checks the changes that the mesh has made because of the event.
func (o *oracle) noteEvent(m *message, changes []health.Change) {
	ev := &m.ev
	r := o.records[ev.ID]
	if r != nil {
		r.expireDeadlines(o.noticed)
	}
	switch kind := ev.Kind; {
	case kind == mesh.EventOverride:
		f := o.forced(ev.Override)
		if r != nil {
			r.forced, r.forcedTo = f.override, f.until
		} else {
			o.waiting[ev.ID] = f
		}
	case kind == mesh.EventLoad:
		o.noteRegistration(m).noteLoad(ev)
	case kind == mesh.EventRegister && (r == nil || r.lease != ev.Lease):
		o.noteRegistration(m)
	case r == nil || r.lease != ev.Lease:
		if len(changes) > 0 {
			o.w.fail("superseded", "%s: evidence %d under lease %x, which is not its, led to %+v", ev.ID, kind, ev.Lease, changes[0].State)
		}
		return
	case kind == mesh.EventDeregister:
		r.length = 0 // the mesh may remove the instance at once
		r.ended = o.stamp()
	default:
		r.noteEvidence(m)
	}
	if r = o.records[ev.ID]; r != nil {
		o.markTouched(r)
	}
	o.notePublished(changes)
	o.noteGuards()
}

func (o *oracle) noteRegistration(m *message) *record {
	r := &record{o: o, in: m.in, lease: m.ev.Lease, static: m.ev.Spec.Static, length: m.ev.Spec.TTL, said: health.Starting, unheard: true}
	r.grace = o.policy().StartupGrace
	r.state.ID, r.incarnation, r.born, r.alone, r.spoke, r.heard, r.forcedTo = m.in.id, m.ev.Spec.Incarnation, o.stamp(), o.stamp(), o.stamp(), o.w.now, never
	if f, ok := o.waiting[m.in.id]; ok && f.until > o.w.now {
		r.forced, r.forcedTo = f.override, f.until
	}
	delete(o.waiting, m.in.id)
	if old := o.records[m.in.id]; old != nil {
		r.state, r.countedKnown, r.countedSuspect = old.state, old.countedKnown, old.countedSuspect
		r.forced, r.forcedTo, r.moves, r.flapping = old.forced, old.forcedTo, old.moves+1, old.flapping
		old.setVague(false)
	}
	o.records[m.in.id] = r
	r.noteRenewal()
	return r
}

func (r *record) noteLoad(ev *mesh.Event) {
	o := r.o
	l, amnesty := ev.Loaded, max(o.policy().Amnesty, 0)
	if l.Unheard { // StartupGrace has run since the registration, which was before the restart
		age := o.w.coord.clock.at(o.w.now).Round(0).Sub(ev.Spec.RegisteredAt)
		r.grace -= max(0, min(age, r.grace))
	}
	r.heard += amnesty
	r.extra, r.suspectFrom, r.heardThen = amnesty, o.stamp(), r.heard
	r.giveUp = deadlineAfter(o.w.now, o.policy().UnreachableAfter+amnesty)
	r.silentAfter = deadlineAfter(o.w.now, o.policy().UnreachableAfter/2+amnesty)
	r.length += amnesty
	r.byItself, r.named, r.namedAt = false, l.Named, o.w.now
	if r.unheard = l.Unheard; !r.unheard && l.Status != health.Starting && !o.heard[r.lease] {
		o.w.fail("heard", "%s was stored as %s, and nobody has ever heard of it", r.in.id, l.Status)
	}
	switch {
	case l.Status == health.Starting:
	case l.Trusted:
		r.said, r.seen, r.confirmed = l.Status, true, !r.unheard
	default:
		r.said = health.Unknown
	}
}

func (o *oracle) forced(v *health.Override) forced {
	f := forced{v, never}
	if v != nil && !v.ExpiresAt.IsZero() {
		f.until = o.w.now + v.ExpiresAt.Sub(o.w.coord.clock.at(o.w.now))
		if f.until <= o.w.now {
			f.override = nil
		}
	}
	return f
}

// noteEvidence updates the record r after an event that has the present lease of the instance.
func (r *record) noteEvidence(m *message) {
	o := r.o
	ev := &m.ev
	switch ev.Kind {
	case mesh.EventReport, mesh.EventAlive:
		r.noteAnswer(m)
	case mesh.EventRegister, mesh.EventRenew:
		r.spoke = o.stamp()
		r.noteRenewal()
	case mesh.EventPushed:
		r.notePush(ev.On)
	case mesh.EventPath:
		r.noteWait(ev.Late)
	default:
		r.stranger = r.stranger || ev.Kind == mesh.EventStranger
		if r.pushers == 0 && (!r.expired.set || r.held) {
			r.heard = max(r.heard, o.w.now)
			r.noteFailure(ev)
		}
	}
}

func (r *record) notePush(on bool) {
	o := r.o
	r.alone = o.stamp()
	if on {
		r.pushers++
	} else {
		r.pushers = max(0, r.pushers-1)
	}
}

// clearSuspicion notes that the instance is not suspect any more and has no error. It does not
// change whether the lease of the instance has expired.
func (r *record) clearSuspicion() {
	if r.lost() || r.config != health.CauseNone || r.suspectFrom.set {
		r.moves++
	}
	r.suspectFrom, r.silent, r.silentAfter, r.refused, r.config, r.full, r.byStranger = stamp{}, false, deadline{}, false, health.CauseNone, false, false
	r.refusedAt, r.failedAt, r.garbledAt = 0, 0, 0
	r.gone, r.held, r.extra = false, false, 0
	r.setVague(false)
}

// noteRenewal notes that the client has renewed the lease, which now lasts for ttl. If the
// instance was lost because of silence or an expired lease, it becomes suspect.
func (r *record) noteRenewal() {
	o := r.o
	if r.static {
		return
	}
	expired, unreachable := r.expired.set, (r.gone || r.held) && !r.expired.set
	r.renewed, r.byItself, r.expired, r.ended = o.stamp(), true, stamp{}, stamp{}
	r.between, r.mayGo = r.before, 0
	r.length = ttl
	if expired || unreachable {
		silentAfter := r.silentAfter // kept, since a renewal does not show that the coordinator can reach the instance
		r.clearSuspicion()
		r.expired, r.silentAfter = stamp{}, silentAfter
		r.markSuspect()
		r.silent = unreachable && r.suspectFrom.set
	}
}

// noteWait updates the record r after the follower has waited for an answer and received none. late
// is the lateness of the coordinator during this wait. If late is not 0, the instance becomes
// suspect only after it was silent for a further time, which is at most `late`.
func (r *record) noteWait(late time.Duration) {
	o := r.o
	switch {
	case late == 0 || r.silent:
		r.noteSilence()
	case r.pushers == 0 && !r.lost() && !r.silentAfter.set:
		by := max(r.heard, o.away) + 2*o.policy().UnreachableAfter
		r.silentAfter = deadlineAfter(o.w.now, min(late, max(0, by-o.w.now)))
	}
}

// noteSilence makes the instance suspect because it is silent. It does nothing if the client
// has a push stream, or if the instance is already lost, which is worse than suspect.
func (r *record) noteSilence() {
	if r.pushers == 0 && !r.lost() {
		r.markSuspect()
		r.silent = true
	}
}

// markSuspect makes the instance suspect. It does nothing if the client has a push stream, or
// if the instance is already lost, which is worse than suspect.
func (r *record) markSuspect() {
	o := r.o
	if r.pushers > 0 || r.lost() {
		return
	}
	r.waiting = stamp{}
	if !r.suspectFrom.set || r.byStranger {
		r.suspectFrom, r.heardThen, r.giveUp = o.stamp(), r.heard, deadlineAfter(o.w.now, o.policy().UnreachableAfter)
	}
	r.full, r.byStranger = false, false
}

// noteRefusal updates the record r after a refused connection. A second refusal, at least a
// second after the first one, makes the instance NOT_SERVING.
func (r *record) noteRefusal() {
	o := r.o
	if second := o.isSecond(&r.refusedAt); !second || r.static && r.said == health.Draining {
		r.markSuspect()
		return
	}
	r.refused, r.moves = true, r.moves+1
	r.suspectFrom, r.silent, r.config, r.gone, r.held, r.expired = stamp{}, false, health.CauseNone, false, false, stamp{}
	r.full, r.byStranger, r.stranger = false, false, false
	r.setVague(false)
	r.markLowered()
}

// markLowered notes that the coordinator has made the status of the instance worse without a
// report. If the instance has a stock server, or has never reported a status, its next SERVING
// counts only after RecoverHold.
func (r *record) markLowered() {
	r.waiting, r.config = stamp{}, health.CauseNone
	if (stock(r.source) || !r.seen) && !r.leaving() {
		r.said, r.seen, r.also, r.failed, r.lowered = health.NotServing, true, false, false, true
	}
}

func (r *record) noteReport(rep *mesh.Report) {
	o := r.o
	r.confirmed, r.unheard, o.heard[r.lease] = true, false, true
	r.note(o.w.now, rep)
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
	r.waiting, r.seen, r.also, r.lowered = stamp{}, true, false, false
	r.said, r.source, r.failed = rep.Status, rep.Source, rep.Cause == health.CauseFailed
}

// setVague sets the field vague of the record. It also updates o.vague, the number of records
// whose field vague is true: for them, the oracle cannot see whether a guard counts the instance
// as suspect.
func (r *record) setVague(vague bool) {
	o := r.o
	if r.vague != vague {
		r.vague = vague
		o.vague++
		if !vague {
			o.vague -= 2
		}
	}
}

// expireDeadlines applies all deadlines of the record that are not later than t. As a result
// the instance may be silent, its lease may have expired, or its override may have ended.
func (r *record) expireDeadlines(t stamp) {
	o := r.o
	if r.silentAfter.set && t.at >= r.silentAfter.ends {
		r.silentAfter = deadline{}
		r.also = r.also || r.mayBelieve() // the mesh may have published SERVING earlier in this call of core.Step
		r.noteSilence()
	}
	if !r.static && !r.ended.set && t.past(r.renewed, r.length) {
		r.expired = o.stamp()
		r.ended = r.expired // ended is the end of the lease; expired is the time at which the oracle notices this end
		r.ended.at = r.ended.ends(r.renewed, r.length)
		r.held = r.state.Unconfirmed
		r.moves++
	}
	if r.forced != nil && t.at >= r.forcedTo {
		r.forced = nil
	}
}

// mayBelieve reports whether a stock server has reported SERVING for at least RecoverHold, so
// that the mesh may publish SERVING.
func (r *record) mayBelieve() bool {
	o := r.o
	enough := r.source == health.SourceWatch || r.polls >= o.policy().RecoverAfter
	return enough && o.due(r.waiting, o.policy().RecoverHold)
}

func (r *record) believe() {
	r.said, r.waiting, r.lowered = health.Serving, stamp{}, false
	r.moves++
}
