package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// reachLayer is the second of the five layers that compute the status of an instance. It decides
// whether the last status can still be believed if the coordinator receives no answers.
type reachLayer struct {
	suspicion
	lease lease
	// giveUp is the end of a suspicion. When it is due, the instance is declared dead: the status
	// becomes NOT_SERVING or UNKNOWN.
	giveUp deadline
	// silentBy is the moment when a suspicion begins, unless an answer comes before it.
	silentBy deadline
	// quietFrom is the moment from which the present silence counts. It is the latest of three
	// moments: the last answer, the release by a guard, and the end of the amnesty. The amnesty is
	// a time after the start of the coordinator.
	quietFrom moment
	pushers   int // number of open streams on which the instance pushes its status
}

// suspicion is the evidence that the last status may be wrong. A valid answer clears it.
type suspicion struct {
	state reachState
	// config says why the answers contain nothing about the health, for example because of
	// missing permissions. It stays set while the instance is suspect. CauseNone means that there
	// were no such answers.
	config   health.Cause
	reason   string   // explanation in words of the field state, config or notAsked
	notAsked bool     // true if the coordinator has not called the instance for a long time
	paused   deadline // copy of giveUp, which is not armed while notAsked is true; paused.at is the time that remained
	// overForgiven is true if the instance was declared dead at a deadline that had been extended up
	// to a limit, because this process was late. In this case the instance is UNKNOWN.
	overForgiven bool
	first        firstSightings
}

// firstSightings has one moment for each kind of evidence that must come twice to count. It is the
// moment when this evidence came first, or 0 if it has not come.
type firstSightings struct{ refused, failed, malformed moment }

// secondLook is the minimum time between the first and the second evidence of one kind. If the
// second one comes earlier, it does not count.
const secondLook = time.Second

// seenTwice handles evidence that came at the moment now. first is the moment when the first
// evidence of this kind came. If it is 0, seenTwice sets it to now. seenTwice returns true if the
// first evidence is at least secondLook old.
func seenTwice(now moment, first *moment) bool {
	if *first == 0 {
		*first = now
	}
	return now-*first >= moment(secondLook)
}

// observe handles an event, and returns what the reach layer concludes from this event. held says
// whether a guard keeps the status of the instance.
func (r *reachLayer) observe(t turn, ev *Event, rep *reportLayer, held bool) finding {
	switch ev.Kind {
	case EventReport, EventAlive:
		return r.observeAnswer(t, ev)
	case EventRenew:
		r.renew(t)
		return foundNothing
	case EventPushed:
		r.countPusher(ev.On)
		return foundNothing
	case EventOwnFault:
		t.awareness.noteOwnFault(t.now, t.spec.Address)
		r.observeNotAsked(t, ev.Reason)
		return foundNothing
	case EventNotAsked:
		r.observeNotAsked(t, ev.Reason)
		return foundNothing
	case EventStranger:
		r.lease.identity.stranger = true
	}
	if r.pushed() || r.expired(held) {
		return foundNothing
	}
	return r.observeFault(t, ev, rep)
}

// observeAnswer handles a valid answer. An answer is proven if it certainly comes from the
// registered process. Only a proven answer renews the lease. An unproven answer counts as long as
// the lease has not ended. After the end of the lease, the status in an unproven answer counts only
// when a proven answer has followed.
func (r *reachLayer) observeAnswer(t turn, ev *Event) finding {
	// A push comes from the registered process, but shows nothing about the process at the
	// address. Therefore the field identity is not updated.
	pushed := ev.Kind == EventReport && ev.Report.Source == health.SourcePush
	proven := pushed || r.lease.identity.answered(ev, t.spec.Proves)
	if r.lease.ended(t.spec) && !proven {
		return foundUnprovenAnswer
	}
	r.clear(t)
	if proven {
		r.renew(t)
	}
	return foundAnswer
}

// observeFault handles evidence that is not a valid answer, such as an error or silence.
func (r *reachLayer) observeFault(t turn, ev *Event, rep *reportLayer) finding {
	if ev.Kind != EventPath {
		r.countQuietFromNow(t)
	}
	switch ev.Kind {
	case EventRefused:
		return r.observeRefusal(t, ev.Reason, rep)
	case EventFailed:
		return r.observeFailure(t, ev)
	case EventMalformed:
		if seenTwice(t.now, &r.first.malformed) {
			return r.misconfigure(t, ev.Cause, ev.Reason)
		}
		return r.suspect(t, sawFirstFault, ev.Reason)
	case EventQuota:
		return r.observeQuota(t, ev.Reason)
	case EventPath:
		return r.observeSilence(t, ev)
	case EventConfig:
		return r.misconfigure(t, ev.Cause, ev.Reason)
	case EventStranger:
		return r.suspect(t, sawStranger, ev.Reason)
	}
	return foundNothing
}

// clear ends the suspicion, because a valid answer came.
func (r *reachLayer) clear(t turn) {
	r.suspicion = suspicion{state: reachTable[r.state][sawAnswer]}
	r.quietFrom = t.now
	r.giveUp.disarm()
	r.silentBy.disarm()
}

// observeFailure handles an error with which the target has answered. The second such answer
// counts as a report that the instance is NOT_SERVING.
func (r *reachLayer) observeFailure(t turn, ev *Event) finding {
	if !seenTwice(t.now, &r.first.failed) {
		return r.suspect(t, sawFirstFault, ev.Reason)
	}
	first := r.first.failed
	r.clear(t)
	r.first.failed = first
	return foundFailure
}

// observeQuota handles a call that the target refused because a limit was reached. If the
// instance had been declared dead, the refusal shows that it lives, but its health stays unknown.
func (r *reachLayer) observeQuota(t turn, reason string) finding {
	if r.state.lost() || r.state == reachUnknown && r.config == health.CauseQuota {
		return r.misconfigure(t, health.CauseQuota, reason)
	}
	return r.suspect(t, sawQuota, reason)
}

// renew begins the lease again. An instance that was declared dead because of silence becomes
// suspect again.
func (r *reachLayer) renew(t turn) {
	if t.spec.Static {
		return
	}
	r.lease.renew(t.now, t.spec.TTL)
	if !r.state.lostBySilence() {
		return
	}
	r.suspicion = suspicion{state: reachTable[r.state][sawRenewal]}
	if r.pushed() {
		r.state = reachHeard
		return
	}
	r.giveUp.arm(t.now, t.patience())
}

// observeSilence handles a missing answer. If the coordinator was late during a part of the
// wait, the instance gets this time again before it becomes suspect.
func (r *reachLayer) observeSilence(t turn, ev *Event) finding {
	if ev.Late > 0 && !r.state.silent() && !r.state.lost() {
		if !r.silentBy.armed() {
			r.silentBy.arm(t.now, min(ev.Late, max(0, time.Duration(r.latestSilentBy(t)-t.now))))
		}
		if !r.state.suspect() && r.config == health.CauseNone {
			r.reason = ev.Reason
		}
		return foundNothing
	}
	return r.becomeSilent(t, ev.Reason)
}

func (r *reachLayer) becomeSilent(t turn, reason string) finding {
	was := r.state
	found := r.suspect(t, sawSilence, reason)
	if r.state == reachSuspect && !was.silent() {
		t.awareness.noteSuspect(t.now, t.service)
	}
	return found
}

// suspect enters a state in which the last status is kept as unconfirmed. It arms the deadline
// giveUp, at which the instance is declared dead, if this deadline is not armed yet.
func (r *reachLayer) suspect(t turn, saw sighting, reason string) finding {
	if r.state.lost() || r.state == reachUnknown && saw == sawStranger {
		return foundNothing
	}
	r.state = reachTable[r.state][saw]
	if reason != "" && r.config == health.CauseNone {
		r.reason = reason
	}
	if saw != sawSilence && saw != sawFirstRefusal {
		r.silentBy.disarm() // the target has sent something, so it is not silent
	}
	switch {
	case r.state == reachStranger:
		r.giveUp.disarm()
		r.paused.disarm()
	case r.paused.length != 0:
		r.resumeGiveUp(t)
	case !r.giveUp.armed():
		r.giveUp.arm(t.now, r.patience(t))
	}
	return foundSuspicion
}

// observeNotAsked notes that the coordinator has not called the instance for a long time. It
// pauses the deadline giveUp, so that the instance is not declared dead before new evidence comes.
func (r *reachLayer) observeNotAsked(t turn, reason string) {
	if r.pushed() || r.state.lost() {
		return
	}
	r.notAsked = true
	if r.state.suspect() && r.giveUp.armed() {
		r.paused = r.giveUp
		r.paused.at -= t.now
		r.giveUp.disarm()
	}
	if r.config == health.CauseNone && !r.state.suspect() {
		r.reason = reason
	}
}

func (r *reachLayer) resumeGiveUp(t turn) {
	r.paused.at += t.now
	r.giveUp = r.paused
	r.paused.disarm()
}

// observeRefusal handles a refused connection. After the second refusal, the instance is declared
// dead. There is one exception: a static instance that drains may be restarting, so it stays
// suspect until the deadline giveUp.
func (r *reachLayer) observeRefusal(t turn, reason string, rep *reportLayer) finding {
	draining := rep.status == health.Draining && t.spec.Static
	if twice := seenTwice(t.now, &r.first.refused); !twice || draining {
		return r.suspect(t, sawFirstRefusal, reason)
	}
	r.lease.identity.stranger = false // no process answers at the address
	return r.lose(reachTable[r.state][sawRefusal], reason)
}

// misconfigure makes the instance UNKNOWN, because its answers contain nothing about its
// health, for example because of a wrong configuration.
func (r *reachLayer) misconfigure(t turn, cause health.Cause, reason string) finding {
	r.suspicion = suspicion{
		state: reachTable[r.state][sawConfig], config: cause, reason: reason,
		first: firstSightings{malformed: r.first.malformed},
	}
	r.giveUp.disarm()
	r.silentBy.disarm()
	return foundSuspicion
}

// lose declares the instance dead and sets the new state. It returns foundLoss if a guard may
// hold the instance (keep its status), and foundDeath if not. No guard holds an instance that has
// refused connections.
func (r *reachLayer) lose(state reachState, reason string) finding {
	prev := r.suspicion
	r.suspicion = suspicion{state: state, reason: reason, first: prev.first, config: prev.config}
	r.giveUp.disarm()
	if prev.state == reachRefused || !state.lostBySilence() {
		return foundDeath
	}
	return foundLoss
}

// confirmLoss is called if the instance was declared dead and no guard keeps its status. It clears
// the field config, which is needed only while a guard keeps the status.
func (r *reachLayer) confirmLoss() { r.config = health.CauseNone }

func (r *reachLayer) countQuietFromNow(t turn) { r.quietFrom = max(r.quietFrom, t.now) }

// quietSince returns the moment from which the present silence counts. If this process was late
// for a long time, the silence before the end of this lateness does not count.
func (r *reachLayer) quietSince(t turn) moment { return max(r.quietFrom, t.awareness.awayUntil) }

// latestSilentBy returns the upper limit of the deadline silentBy, at which a silent instance
// becomes suspect. The limit is twice UnreachableAfter after the moment that quietSince returns.
func (r *reachLayer) latestSilentBy(t turn) moment {
	return r.quietSince(t) + maxForgiven/2*moment(t.policy.UnreachableAfter)
}

// latestGiveUp returns the upper limit of the deadline giveUp, at which a suspect instance is
// declared dead. The limit is four times UnreachableAfter after the moment that quietSince returns.
func (r *reachLayer) latestGiveUp(t turn) moment {
	return r.quietSince(t) + maxForgiven*moment(t.policy.UnreachableAfter)
}

// patience returns how long an instance may stay suspect before it is declared dead. This time is
// the result of env.patience, or less if it would end later than latestGiveUp. It is never less
// than UnreachableAfter.
func (r *reachLayer) patience(t turn) time.Duration {
	return max(t.policy.UnreachableAfter, min(t.patience(), time.Duration(r.latestGiveUp(t)-t.now)))
}

// countPusher counts the open streams on which the instance pushes its status. There may be
// several, because a broken stream may end long after the next one was opened.
func (r *reachLayer) countPusher(begins bool) {
	if begins {
		r.pushers++
		return
	}
	r.pushers = max(0, r.pushers-1)
}

func (r *reachLayer) pushed() bool { return r.pushers > 0 }

// expired reports whether the lease has ended and no guard keeps the status of the instance.
func (r *reachLayer) expired(held bool) bool { return r.state == reachExpired && !held }

// wantsReport reports whether the client should push the status. This is so if the client
// renews the lease, but the coordinator cannot get the status from the address.
func (r *reachLayer) wantsReport(spec *health.Spec) bool {
	return !spec.Static && (r.state == reachRenewing || r.state == reachStranger || r.config == health.CauseQuota)
}

// excused reports whether the reported status stays the same even if the instance is silent. This
// is so for an instance in maintenance. It is also so for an instance that drains and has a
// lease, because this instance is removed when its lease ends.
func excused(spec *health.Spec, rep *reportLayer) bool {
	return rep.status == health.Maintenance || rep.status == health.Draining && !spec.Static
}

// apply replaces the status of the verdict v if the instance was declared dead, or if its answers
// contain nothing about its health. It marks v as unconfirmed if the instance is suspect.
func (r *reachLayer) apply(t turn, v verdict, rep *reportLayer) verdict {
	if excused(t.spec, rep) {
		return v
	}
	if r.state.lost() {
		status := health.NotServing
		if r.overForgiven {
			status = health.Unknown
		}
		return verdict{status: status, cause: r.state.cause(), reason: r.reason}
	}
	if r.config != health.CauseNone {
		v = verdict{status: health.Unknown, cause: r.config, reason: r.reason}
	}
	if !r.notAsked && !r.state.suspect() {
		return v
	}
	v.unconfirmed = true
	if r.announces() {
		v.nextAt, v.nextCause = r.giveUp.at, health.CauseUnreachable
		if r.state == reachQuota {
			v.nextCause = health.CauseQuota
		}
	}
	if v.reason == "" {
		v.reason = r.reason
	}
	return v
}

// announces reports whether the instance will be declared dead at the deadline giveUp, so that
// people can be warned in advance. It returns false if the client renews the lease. It also returns
// false after a first error or malformed answer, because the next answer decides in this case.
func (r *reachLayer) announces() bool {
	fault := r.state == reachOnce && r.first.refused == 0
	return r.state != reachRenewing && !fault && r.giveUp.armed()
}
