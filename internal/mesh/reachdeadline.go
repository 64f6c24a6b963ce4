package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// reachDeadline is the number of a deadline of the reach layer. Due deadlines of an instance are
// handled in the order of these numbers.
type reachDeadline int

const (
	reachGiveUp reachDeadline = iota
	reachLeaseEnd
	reachRemoval
	reachSilentBy
	numReachDeadlines
)

func (r *reachLayer) nextDeadline() moment {
	return min(r.giveUp.next(), r.lease.end.next(), r.lease.removal.next(), r.silentBy.next())
}

// tick handles the deadline with this number if it is due. held says whether a guard keeps the
// status of the instance.
func (r *reachLayer) tick(t turn, number reachDeadline, rep *reportLayer, held bool) finding {
	switch number {
	case reachGiveUp:
		if fired, due := r.giveUp.fire(t.now); due {
			return r.endSuspicion(t, fired, rep, held)
		}
	case reachLeaseEnd:
		if fired, due := r.lease.end.fire(t.now); due {
			return r.endLease(t, fired.overForgiven, rep)
		}
	case reachRemoval:
		if _, due := r.lease.removal.fire(t.now); due {
			return r.endRemoval(t, held)
		}
	case reachSilentBy:
		if _, due := r.silentBy.fire(t.now); due {
			return r.endSilentBy(t)
		}
	}
	return foundNothing
}

// endSuspicion declares a suspect instance dead. There are two exceptions: the client renews the
// lease, or this process has got more problems of its own (a higher score) since the deadline was
// armed. held says whether a guard has kept the status of the instance. If held is true, there is
// no exception.
func (r *reachLayer) endSuspicion(t turn, fired deadline, rep *reportLayer, held bool) finding {
	switch {
	case held:
		return r.loseAfter(fired, r.state)
	case r.state == reachQuota:
		return r.misconfigure(t, health.CauseQuota, r.reason)
	case r.lease.renewedLately(t.now, t.spec):
		r.giveUp.arm(t.now, time.Duration(r.lease.fresh.at-t.now))
		r.state = reachRenewing
		return foundNothing
	case r.prolong(t, fired):
		return foundNothing
	}
	if r.first.refused != 0 && rep.leaving() {
		return r.loseAfter(fired, reachRefused)
	}
	return r.loseAfter(fired, reachTable[r.state][sawOverdue])
}

func (r *reachLayer) loseAfter(fired deadline, state reachState) finding {
	found := r.lose(state, r.reason)
	r.overForgiven = fired.overForgiven
	return found
}

// prolong arms the deadline giveUp again if the patience has grown since giveUp was armed. The
// patience is how long an instance may stay suspect before it is declared dead. It grows with the
// problems of this process itself. prolong returns false if it has not armed giveUp again.
func (r *reachLayer) prolong(t turn, fired deadline) bool {
	more := t.patience() - max(fired.length, t.policy.UnreachableAfter)
	if more = min(more, time.Duration(r.latestGiveUp(t)-t.now)); more <= 0 {
		return false
	}
	fired.at, fired.length = t.now+moment(more), t.patience()
	r.giveUp = fired
	return true
}

// endLease handles the end of the lease. It declares the instance dead. But an instance that drains
// or is in maintenance is removed.
func (r *reachLayer) endLease(t turn, overForgiven bool, rep *reportLayer) finding {
	if rep.leaving() {
		return foundGone
	}
	found := r.lose(reachTable[r.state][sawLapse], "")
	r.overForgiven = overForgiven
	if t.policy.DeregisterAfter >= 0 {
		r.lease.removal.arm(t.now, t.policy.DeregisterAfter)
	}
	return found
}

// endRemoval handles the end of the deadline removal, which was armed when the lease ended. It
// returns foundGone, so that the instance is removed. If a guard keeps the status of the instance,
// endRemoval arms the deadline again instead.
func (r *reachLayer) endRemoval(t turn, held bool) finding {
	if held {
		r.lease.removal.arm(t.now, t.policy.DeregisterAfter)
		return foundNothing
	}
	return foundGone
}

// endSilentBy makes the instance suspect, because no answer came before the deadline silentBy. For
// an instance that was loaded from the store, this silence is no sign that this process itself
// has problems. If the instance is silent already, or if the coordinator does not call it, the
// deadline is no new evidence.
func (r *reachLayer) endSilentBy(t turn) finding {
	switch {
	case r.pushed() || r.state.lost() || r.state.silent() || r.notAsked:
		return foundNothing
	case r.state == reachRestored:
		r.state = reachSuspect
		return foundNothing
	}
	return r.becomeSilent(t, "")
}

// restore begins a suspicion of an instance that was loaded from the store. delay is the amnesty, a
// time after the start of the coordinator. It is added to the deadlines of the instance.
func (r *reachLayer) restore(t turn, delay time.Duration) {
	r.quietFrom = t.now + moment(delay)
	r.renew(t)
	if !t.spec.Static {
		r.lease.restore(t.now, t.spec.TTL, delay)
	}
	r.state = reachRestored
	r.giveUp.arm(t.now, t.policy.UnreachableAfter+delay)
	r.silentBy.arm(t.now, t.policy.UnreachableAfter/2+delay)
}

// extend delays the deadlines by the lateness of this process. The limits ensure that recurring
// lateness does not delay a suspicion or its end for ever.
func (r *reachLayer) extend(t turn, lateness time.Duration) {
	r.silentBy.extendUntil(lateness, r.latestSilentBy(t))
	r.giveUp.extendUntil(lateness, r.latestGiveUp(t))
	r.lease.extend(lateness)
}

// grantTime gives the instance time to answer after the release of a guard that covered it. It
// moves two deadlines to at least UnreachableAfter from now. These are giveUp, at which the
// instance is declared dead, and the end of the lease.
func (r *reachLayer) grantTime(t turn) {
	r.countQuietFromNow(t)
	for _, d := range []*deadline{&r.giveUp, &r.lease.end} {
		if d.armed() && d.at < t.now+moment(t.policy.UnreachableAfter) {
			d.arm(t.now, t.policy.UnreachableAfter)
		}
	}
}

// grantReturn is called if a guard has kept the status of a silent instance, but no tripped guard
// covers the instance any more. It arms the deadline giveUp, at which the instance is declared dead
// unless it answers before.
func (r *reachLayer) grantReturn(t turn) {
	if !r.giveUp.armed() {
		r.giveUp.arm(t.now, t.policy.UnreachableAfter)
		r.countQuietFromNow(t)
	}
}
