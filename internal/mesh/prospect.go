package mesh

import (
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Prospect is one way in which a status may change.
type Prospect struct {
	// Trigger says what changes the status.
	Trigger Trigger
	// At is the earliest time of the change. It is zero if the change depends on evidence only.
	At time.Time
	// To, Cause and Unconfirmed describe the status after the change.
	To          health.Status
	Cause       health.Cause
	Unconfirmed bool
	// Removed reports that the name is removed.
	Removed bool
	// Wait is how long the evidence must last, and Polls is the number of answers that are needed.
	// Both are 0 if the evidence counts at once.
	Wait  time.Duration
	Polls int
	// Member, MemberTo and MemberCause say which member of an aggregate changes, and how.
	// MemberTrigger says why.
	Member        health.ID
	MemberTo      health.Status
	MemberCause   health.Cause
	MemberTrigger Trigger
	// MemberRemoved reports that the member is removed.
	MemberRemoved bool
	// Count is the number of members that must change.
	Count int
}

// Trigger is what changes a status.
type Trigger uint8

// The triggers up to TriggerMember need only time, unless something happens before. The others are
// evidence or acts of people.
const (
	TriggerNone            Trigger = iota
	TriggerRecovered               // SERVING was answered for RecoverHold
	TriggerSilent                  // answers are missing for too long
	TriggerGiveUp                  // the instance was suspect for too long
	TriggerLeaseEnd                // the lease ends
	TriggerRemoval                 // the instance is removed after its lease has ended
	TriggerQuiet                   // the end of the suppression by flap damping
	TriggerGuardMax                // a guard has held for too long
	TriggerOverrideEnd             // the override ends
	TriggerGrace                   // the instance is older than StartupGrace
	TriggerAmnesty                 // the amnesty after the start of the coordinator ends
	TriggerMember                  // a member of the aggregate changes because of one of the triggers above
	TriggerAnswer                  // an answer comes
	TriggerServing                 // the instance reports SERVING
	TriggerNotServing              // the instance reports NOT_SERVING
	TriggerRefused                 // connections are refused
	TriggerGuardReleased           // the guard is released, and no answer comes
	TriggerOverrideCleared         // a person clears the override
	TriggerRecovery                // Count more members become SERVING
	TriggerLoss                    // Count more members become NOT_SERVING
	NumTriggers
)

// maxSteps is the largest number of deadlines that a future handles.
const maxSteps = 12

// outcome is the part of a state that a prospect describes.
type outcome struct {
	status      health.Status
	cause       health.Cause
	unconfirmed bool
	removed     bool
}

// future is a copy of one instance, and of what its layers use. It shows what follows from time or
// from events, with the code that decides, and does not change the mesh.
type future struct {
	mesh      Mesh // has only the fields env and guards
	in        instance
	overrides *overrides // is only read
	result    outcome
}

func (i *inspector) futureOf(in *instance) *future {
	m := i.mesh
	f := &future{in: *in, overrides: &m.overrides}
	f.mesh.env = i.env
	f.mesh.out = output{}
	// These maps belong to the mesh, so the copy gets new ones.
	f.mesh.awareness.suspectServices, f.mesh.awareness.faultAddresses = nil, nil
	f.mesh.guards.zones = map[string]*guard{}
	if g := m.guards.covering(in.spec.Zone); g != nil {
		held := *g
		f.mesh.guards.tripped = []*guard{&held}
		if g == &m.guards.mesh {
			f.mesh.guards.mesh = held
			f.mesh.guards.tripped[0] = &f.mesh.guards.mesh
		} else {
			f.mesh.guards.zones[g.zone] = &held
		}
	}
	f.result = outcome{status: in.state.Status, cause: in.state.Cause, unconfirmed: in.state.Unconfirmed}
	return f
}

// guard returns the tripped guard that covers the instance, or nil.
func (f *future) guard() *guard { return f.mesh.guards.covering(f.in.spec.Zone) }

// overrideEnd returns the moment at which the override of the instance ends.
func (f *future) overrideEnd() moment {
	if forced := f.in.override.forced; forced != nil {
		if entry := f.overrides.byScope[forced.Scope]; entry != nil {
			return entry.end
		}
	}
	return lastMoment
}

// next returns the earliest deadline and what it triggers.
func (f *future) next() (at moment, trigger Trigger) {
	at = lastMoment
	consider := func(when moment, t Trigger) {
		if when < at {
			at, trigger = when, t
		}
	}
	r := &f.in.reach
	consider(r.giveUp.next(), TriggerGiveUp)
	consider(r.lease.end.next(), TriggerLeaseEnd)
	consider(r.lease.removal.next(), TriggerRemoval)
	consider(r.silentBy.next(), TriggerSilent)
	consider(f.in.report.recover.next(), TriggerRecovered)
	consider(f.in.damping.release.next(), TriggerQuiet)
	consider(f.in.grace.next(), TriggerGrace)
	consider(f.overrideEnd(), TriggerOverrideEnd)
	if g := f.guard(); g != nil {
		consider(g.limit.next(), TriggerGuardMax)
	}
	return at, trigger
}

// step handles the deadlines that are due at the moment at.
func (f *future) step(at moment) {
	m := &f.mesh
	m.setNow(m.timeOf(max(at, m.now)))
	gone := m.tickInstance(&f.in)
	if g := f.guard(); g != nil && g.expire(m.now) && f.in.guard.held {
		f.in.guard.expired = true
	}
	if f.overrideEnd() <= m.now {
		f.in.override.forced = f.overrides.matchAt(m.now, f.in.state.ID, f.in.spec)
	}
	f.settle()
	f.result.removed = gone
}

// observe handles an event.
func (f *future) observe(ev *Event) {
	ev.ID, ev.Lease = f.in.state.ID, f.in.spec.Lease
	f.mesh.observe(&f.in, ev)
	f.settle()
}

// settle computes the result again.
func (f *future) settle() {
	t := f.in.turn(&f.mesh.env)
	f.in.guard.review(t, &f.in.reach, f.guard())
	v := f.in.override.apply(f.in.verdict(t))
	f.result = outcome{status: v.status, cause: v.cause, unconfirmed: v.unconfirmed}
	f.in.state.Status, f.in.state.Cause, f.in.state.Unconfirmed = v.status, v.cause, v.unconfirmed
}

// prospect returns the present result as a prospect.
func (f *future) prospect(t Trigger) Prospect {
	r := f.result
	p := Prospect{Trigger: t, To: r.status, Cause: r.cause, Unconfirmed: r.unconfirmed, Removed: r.removed}
	if r.removed {
		p.To, p.Cause, p.Unconfirmed = health.Unknown, health.CauseNone, false
	}
	return p
}

// until handles deadlines until the result differs from before. It returns the moment of this
// change and its trigger. ok is false if the result does not change.
func (f *future) until(before outcome) (at moment, trigger Trigger, ok bool) {
	for range maxSteps {
		at, trigger = f.next()
		if at == lastMoment {
			return 0, 0, false
		}
		if f.step(at); f.result != before {
			return max(at, f.mesh.now), trigger, true
		}
	}
	return 0, 0, false
}

// prospects returns the ways in which the status of an instance may change.
func (i *inspector) prospects(in *instance) []Prospect {
	all := i.timedProspects(in)
	for _, p := range i.eventProspects(in) {
		same := func(q Prospect) bool { return q.To == p.To && q.Cause == p.Cause && q.At.Equal(p.At) }
		if !slices.ContainsFunc(all, same) {
			all = append(all, p)
		}
	}
	return all
}

// timedProspects returns how the status changes if nothing more is heard and nobody acts.
func (i *inspector) timedProspects(in *instance) []Prospect {
	var all []Prospect
	f := i.futureOf(in)
	for len(all) < maxSteps && !f.result.removed {
		at, trigger, ok := f.until(f.result)
		if !ok {
			break
		}
		p := f.prospect(trigger)
		p.At = i.timeOf(at)
		all = append(all, p)
	}
	return all
}

// eventProspects returns how evidence and acts of people change the status.
func (i *inspector) eventProspects(in *instance) []Prospect {
	var all []Prospect
	// try adds a prospect if the status changes, at once or at a later deadline.
	try := func(trigger Trigger, act func(*future)) {
		f := i.futureOf(in)
		before := f.result
		act(f)
		p := f.prospect(trigger)
		if f.result == before {
			waits := f.in.report.waiting && f.in.report.recover.armed()
			at, next, ok := f.until(before)
			if !ok || next != TriggerRecovered && next != TriggerQuiet && trigger != TriggerGuardReleased {
				return
			}
			p = f.prospect(trigger)
			p.At = i.timeOf(at)
			if waits {
				p.Wait = i.policy.RecoverHold
			}
		}
		if in.report.source == health.SourcePoll && p.Wait > 0 {
			p.Polls = i.policy.RecoverAfter
		}
		all = append(all, p)
	}
	source := in.report.source
	if in.reach.pushed() {
		source = health.SourcePush
	}
	if source == health.SourceNone {
		source = health.SourceMeshhealth
	}
	reports := func(s health.Status) func(*future) {
		return func(f *future) {
			for range i.policy.RecoverAfter {
				f.observe(&Event{Kind: EventReport, Proven: true, Report: Report{Source: source, Status: s}})
			}
		}
	}
	if in.override.forced != nil {
		try(TriggerOverrideCleared, func(f *future) {
			f.in.override.forced = nil
			f.settle()
		})
		return all
	}
	if in.state.Unconfirmed || in.reach.state.lost() {
		try(TriggerAnswer, func(f *future) { f.observe(&Event{Kind: EventAlive, Proven: true}) })
	}
	if in.state.Status != health.Serving {
		try(TriggerServing, reports(health.Serving))
	}
	if in.guard.held {
		try(TriggerGuardReleased, func(f *future) {
			f.mesh.guards = guards{zones: map[string]*guard{}}
			f.settle()
		})
	}
	if in.state.Status.Routable() || in.state.Status == health.Starting {
		try(TriggerNotServing, reports(health.NotServing))
		try(TriggerRefused, func(f *future) {
			f.observe(&Event{Kind: EventRefused})
			f.mesh.setNow(f.mesh.wall.Add(secondLook))
			f.observe(&Event{Kind: EventRefused})
		})
	}
	return all
}
