package health

import "time"

// reach is layer 2: whether what the instance last said can still be believed.
type reach struct {
	doubt     bool     // the path is in doubt; the status is kept, unconfirmed
	silent    bool     // by evidence of the path, and not by a first refusal or for want of any
	unasked   bool     // we did not ask, so that nobody knows
	paused    deadline // what is left of doubt's, from when we did not ask on
	lost      Cause    // refused, unreachable or lease_expired; none if reached
	worn      bool     // lost, but after more lateness of ours than may be forgiven
	config    Cause    // only a change of configuration can mend it; none if fine
	reason    string   // of whichever of these holds
	renewing  bool     // it renews its lease though we cannot reach it
	refusedAt moment   // the first of the refusals in a row
}

// secondRefusal is how far apart two refusals must be to count as two.
const secondRefusal = time.Second

// over puts layer 2 over layer 1's verdict. Draining and Maintenance pass it
// untouched.
func (r *reach) over(in *instance, v verdict) verdict {
	if in.leaving() {
		return v
	}
	switch {
	case r.lost != CauseNone && r.worn:
		return verdict{status: Unknown, cause: r.lost, reason: r.reason}
	case r.lost != CauseNone:
		return verdict{status: NotServing, cause: r.lost, reason: r.reason}
	case r.config != CauseNone:
		v = verdict{status: Unknown, cause: r.config, reason: r.reason}
	}
	if r.unasked && !r.doubt {
		v.unconfirmed = true
		if v.reason == "" {
			v.reason = r.reason
		}
	}
	if r.doubt {
		v.unconfirmed = true
		if d := &in.deadlines[dlUnreachable]; d.armed() && !r.renewing { // else nothing comes of it
			v.nextAt, v.nextCause = d.at, CauseUnreachable
		}
		if v.reason == "" {
			v.reason = r.reason
		}
	}
	return v
}

// unasked notes that it was not asked for long. No deadline runs for that, and
// that of a doubt stands still until it is asked again: nobody knows meanwhile.
func (m *Mesh) unasked(in *instance, reason string) {
	if in.pushed() || in.reach.lost != CauseNone {
		return
	}
	in.reach.unasked = true
	if d := &in.deadlines[dlUnreachable]; in.reach.doubt && d.armed() {
		in.reach.paused = *d
		in.reach.paused.at -= m.now
		d.disarm()
	}
	if in.reach.config == CauseNone && !in.reach.doubt {
		in.reach.reason = reason
	}
}

// leaving reports whether the instance says it is on its way out.
func (in *instance) leaving() bool {
	return in.reported.status == Draining || in.reported.status == Maintenance
}

// reached ends every doubt: something came from the instance itself.
func (m *Mesh) reached(in *instance) {
	in.reach, in.hold = reach{}, hold{}
	in.deadlines[dlUnreachable].disarm()
	in.deadlines[dlSilent].disarm()
	m.renewed(in)
}

// renewed starts the lease anew. What was given up for its silence is only in
// doubt again.
func (m *Mesh) renewed(in *instance) {
	if in.spec.Static {
		return
	}
	in.deadlines[dlLease].arm(m.now, in.spec.TTL)
	in.deadlines[dlRemove].disarm()
	in.fresh.arm(m.now, in.spec.TTL/2)
	if lost := in.reach.lost; lost == CauseLeaseExpired || lost == CauseUnreachable {
		in.reach, in.hold = reach{renewing: lost == CauseUnreachable}, hold{}
		m.doubt(in, "")
		in.reach.silent = in.reach.doubt && in.reach.renewing
	}
}

// silence is doubt by evidence of the path.
func (m *Mesh) silence(in *instance, reason string) {
	if in.pushed() || in.reach.lost != CauseNone {
		return
	}
	if !in.reach.silent {
		m.aware.lost(m.now, in.state.ID.Service)
	}
	m.doubt(in, reason)
	in.reach.silent = true
}

// doubt begins, or goes on.
func (m *Mesh) doubt(in *instance, reason string) {
	if in.pushed() || in.reach.lost != CauseNone {
		return
	}
	in.stopWaiting()
	if reason != "" && in.reach.config == CauseNone {
		in.reach.reason = reason
	}
	if in.reach.doubt {
		m.resume(in)
		return
	}
	in.reach.doubt = true
	in.deadlines[dlUnreachable].arm(m.now, m.patience())
}

// resume lets the deadline of a doubt run on, if it stands still.
func (m *Mesh) resume(in *instance) {
	if p := &in.reach.paused; p.length != 0 {
		p.at += m.now
		in.deadlines[dlUnreachable] = *p
		*p = deadline{}
	}
}

// refused counts a refusal; the second, a second later, decides.
func (m *Mesh) refused(in *instance, reason string) {
	if in.pushed() || in.expired() {
		return
	}
	if in.reach.refusedAt == 0 {
		in.reach.refusedAt = m.now
	}
	if m.now-in.reach.refusedAt < moment(secondRefusal) {
		m.doubt(in, reason)
		return
	}
	m.lose(in, CauseRefused, reason)
}

// misconfigured makes the instance Unknown at once: it answered, but not in a
// way that says anything about its health.
func (m *Mesh) misconfigured(in *instance, cause Cause, reason string) {
	if in.pushed() || in.expired() {
		return
	}
	in.stopWaiting()
	in.reach, in.hold = reach{config: cause, reason: reason}, hold{}
	in.deadlines[dlUnreachable].disarm()
	in.deadlines[dlSilent].disarm()
}

// expired reports whether its lease has ended, and that was not held.
func (in *instance) expired() bool { return in.reach.lost == CauseLeaseExpired && !in.hold.on }

// unreachable ends doubt, unless the instance itself still renews, or we have
// turned out not to be well meanwhile; or a hold whose guard has let go.
func (m *Mesh) unreachable(in *instance, d deadline) {
	if in.hold.on {
		m.lose(in, in.reach.lost, in.reach.reason)
		in.reach.worn = d.worn
		return
	}
	if in.fresh.at > m.now && !in.spec.Static {
		in.deadlines[dlUnreachable].arm(m.now, time.Duration(in.fresh.at-m.now))
		in.reach.renewing = true
		return
	}
	if more := m.patience() - max(d.length, m.policy.UnreachableAfter); more > 0 {
		d.at, d.length = m.now+moment(more), m.patience() // in all
		in.deadlines[dlUnreachable] = d
		return
	}
	m.lose(in, CauseUnreachable, in.reach.reason)
	in.reach.worn = d.worn
}

// leaseEnded reports whether the instance must go now: one that was leaving
// has left.
func (m *Mesh) leaseEnded(in *instance, worn bool) (gone bool) {
	if in.leaving() {
		return true
	}
	m.lose(in, CauseLeaseExpired, "")
	in.reach.worn = worn
	if m.policy.DeregisterAfter >= 0 {
		in.deadlines[dlRemove].arm(m.now, m.policy.DeregisterAfter)
	}
	return false
}

// goes reports whether an expired instance must go now. None does as long as a
// guard holds it: half of the mesh is not forgotten because we could not see.
func (m *Mesh) goes(in *instance) bool {
	if in.hold.on {
		in.deadlines[dlRemove].arm(m.now, m.policy.DeregisterAfter)
	}
	return !in.hold.on
}

// lose settles layer 2, unless a guard holds that. What a stock target says
// afterwards has to be held anew: it may well be another process. One never
// heard of may be a stock one. One that has refused is dead already, and stays so.
func (m *Mesh) lose(in *instance, cause Cause, reason string) {
	in.stopWaiting()
	was := in.reach
	in.reach = reach{lost: cause, reason: reason, refusedAt: was.refusedAt}
	in.deadlines[dlUnreachable].disarm()
	if in.hold = m.holds(in); in.hold.on && was.lost == CauseRefused {
		in.hold = hold{}
	}
	if in.hold.on {
		in.reach.config = was.config
		return
	}
	if r := &in.reported; (r.source.stock() || !r.seen) && !in.leaving() {
		r.status, r.cause, r.reason, r.seen = NotServing, cause, reason, true
	}
}
