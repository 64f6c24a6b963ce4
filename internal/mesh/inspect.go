package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Inspection is what a mesh knows about one name at one time. It is a copy that shares only values
// that never change.
type Inspection struct {
	// At is the time of the inspection.
	At time.Time
	// State is the published state.
	State health.State
	// Instance is nil for an aggregate.
	Instance *InstanceView
	// Next has the ways in which the status may change. Those that need only time come first, the
	// earliest first.
	Next []Prospect
}

// InstanceView is what the layers of one instance know.
type InstanceView struct {
	// Checks has the last received states of all checks. They may be newer than State.Checks, which
	// changes only with the status of a check.
	Checks   []health.CheckState
	Reported ReportedView
	Reach    ReachView
	Lease    LeaseView
	Guard    GuardView
	Damping  DampingView
	Override OverrideView
}

// LayerView is what one layer does. In is the status that it gets, and the other fields are what
// it passes on. Since is the time since which it is in its present state. It is zero if the layer
// has no effect.
type LayerView struct {
	In, Out     health.Status
	Cause       health.Cause
	Reason      string
	Unconfirmed bool
	Since       time.Time
}

// ReportedState is the state of the layer reported.
type ReportedState uint8

// The states of the layer reported.
const (
	ReportedNothing  ReportedState = iota // no status was received
	ReportedRestored                      // the status was loaded from the store
	ReportedCounts                        // the received status counts
	ReportedWaits                         // SERVING was received and does not count yet
	ReportedLowered                       // the instance was declared dead, so its last status does not count
	ReportedUnproven                      // the status came from a process that has not proved who it is, so it does not count
	NumReportedStates
)

// ReportedView is the view of the layer reported. Its field In is the last received status.
type ReportedView struct {
	LayerView
	State ReportedState
	// At is the time of the last received status. It is zero if none was received.
	At     time.Time
	Source health.Source
	// CountsAt is the earliest time at which SERVING counts, in the state ReportedWaits. Polls is the
	// number of answers so far, and NeedsPolls is the number that is needed.
	CountsAt          time.Time
	Polls, NeedsPolls int
}

// ReachState is the state of the layer reach.
type ReachState uint8

// The states of the layer reach.
const (
	ReachHeard       = ReachState(reachHeard)
	ReachRestored    = ReachState(reachRestored)
	ReachOnce        = ReachState(reachOnce)
	ReachSuspect     = ReachState(reachSuspect)
	ReachRenewing    = ReachState(reachRenewing)
	ReachQuota       = ReachState(reachQuota)
	ReachStranger    = ReachState(reachStranger)
	ReachUnknown     = ReachState(reachUnknown)
	ReachRefused     = ReachState(reachRefused)
	ReachUnreachable = ReachState(reachUnreachable)
	ReachExpired     = ReachState(reachExpired)
	NumReachStates   = ReachState(numReachStates)
)

// ReachView is the view of the layer reach.
type ReachView struct {
	LayerView
	State ReachState
	// Pushed reports that the instance pushes its status, so that the coordinator need not reach it.
	Pushed bool
	// Excused reports that the instance has announced to leave, so that silence changes nothing.
	Excused bool
	// NotAsked reports that the coordinator has not called the instance for a long time.
	NotAsked bool
	// OverForgiven reports that the status is UNKNOWN and not NOT_SERVING, because the coordinator
	// itself was late too often.
	OverForgiven bool
	// AnsweredAt is the time of the last valid answer. It is zero if none came.
	AnsweredAt time.Time
	// Fault has the faults since the last valid answer.
	Fault Fault
}

// Fault describes faults of one kind in a row. Count is 0 if there is none.
type Fault struct {
	Kind        EventKind
	Cause       health.Cause // CauseNone if Kind says it
	Count       int
	First, Last time.Time
	Reason      string
}

// LeaseView is the view of a lease. It is zero for a static instance.
type LeaseView struct {
	TTL time.Duration
	// RenewedAt is the time of the last renewal. It is zero if none came since the coordinator started.
	RenewedAt time.Time
	// EndsAt is the end of the lease. It is zero if the lease has ended.
	EndsAt time.Time
	// RemovedAt is the time at which the instance is removed after its lease has ended, or zero.
	RemovedAt time.Time
}

// GuardState is the state of the layer guard.
type GuardState uint8

// The states of the layer guard.
const (
	GuardOff     GuardState = iota // no tripped guard covers the instance
	GuardTripped                   // a guard is tripped, but has not had to keep the status
	GuardHolds                     // a guard keeps the status
	GuardExpired                   // a guard has kept the status for too long, so it is UNKNOWN
	NumGuardStates
)

// GuardView is the view of the layer guard. Guard is the tripped guard, or zero.
type GuardView struct {
	LayerView
	State GuardState
	Guard Guard
	// ExpiresAt is the time at which the guard expires, or zero.
	ExpiresAt time.Time
}

// DampingState is the state of the layer damping.
type DampingState uint8

// The states of the layer damping.
const (
	DampingOff        DampingState = iota // the policy has no damping
	DampingQuiet                          // the penalty has no effect
	DampingSuppressed                     // the worst status is kept
	NumDampingStates
)

// DampingView is the view of the layer damping.
type DampingView struct {
	LayerView
	State DampingState
	// Penalty is the present penalty. SuppressAt is the penalty at which the status is kept, and
	// ReuseAt is the penalty below which it is published again.
	Penalty, SuppressAt, ReuseAt float64
	// ReleaseAt is the time at which the suppression ends, or zero.
	ReleaseAt time.Time
}

// OverrideView is the view of the layer override. Forced is nil if nobody forces a status.
type OverrideView struct {
	LayerView
	Forced *health.Override
}

// MaxMembers is the largest number of members that Inspect looks at.
const MaxMembers = 32

// Inspect returns what the mesh knows about a name at the time now. ok is false if the name is
// unknown. For a service, members are the instances whose deadlines Inspect includes; it uses at
// most MaxMembers of them. Inspect changes nothing, and its cost does not grow with the mesh.
func (m *Mesh) Inspect(id health.ID, now time.Time, members []health.ID) (v Inspection, ok bool) {
	v.At = now
	if v.State, ok = m.State(id); !ok {
		return Inspection{}, false
	}
	i := &inspector{mesh: m, env: m.env}
	i.setNow(now)
	if in := m.instances[id]; in != nil {
		v.Instance = i.instance(in)
		v.Next = i.prospects(in)
		return v, true
	}
	v.Next = i.prospectsOfAggregate(id, members[:min(len(members), MaxMembers)])
	return v, true
}

// inspector reads a mesh for one inspection. It must not change the mesh. Its env is a copy of that
// of the mesh, with the time of the inspection.
type inspector struct {
	env
	mesh *Mesh
}

// instance runs the layers of an instance again, without changing them.
func (i *inspector) instance(in *instance) *InstanceView {
	t := in.turn(&i.env)
	reported := in.report.apply()
	reach := in.reach.apply(t, reported, &in.report)
	guarded := in.guard.apply(t, reach, reported, &in.reach, &in.report)
	damped := in.damping.apply(guarded, &in.report)
	forced := in.override.apply(damped)
	received := health.Starting
	if in.report.hasReceived {
		received = in.report.received
	}
	return &InstanceView{
		Checks:   in.report.checks,
		Reported: in.inspectReported(t, layerView(received, reported)),
		Reach:    in.inspectReach(t, layerView(reported.status, reach)),
		Lease:    in.inspectLease(t),
		Guard:    i.guard(t, in, layerView(reach.status, guarded)),
		Damping:  in.inspectDamping(t, layerView(guarded.status, damped)),
		Override: in.inspectOverride(layerView(damped.status, forced)),
	}
}

func layerView(in health.Status, v verdict) LayerView {
	return LayerView{In: in, Out: v.status, Cause: v.cause, Reason: v.reason, Unconfirmed: v.unconfirmed}
}

// timeOrZero converts a moment to a time. The result for 0 is the zero time.
func (c *clock) timeOrZero(at moment) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return c.timeOf(at)
}

func (in *instance) inspectReported(t turn, l LayerView) ReportedView {
	r := &in.report
	l.Since = t.timeOrZero(in.notes.statusSince)
	v := ReportedView{LayerView: l, State: r.viewState(), At: t.timeOrZero(in.notes.reported), Source: r.source}
	if v.State == ReportedNothing {
		v.Since = time.Time{}
	}
	if r.waiting {
		v.CountsAt, v.Polls = t.timeOrZero(r.recover.at), r.polls
		if r.source == health.SourcePoll {
			v.NeedsPolls = t.policy.RecoverAfter
		}
	}
	return v
}

func (r *reportLayer) viewState() ReportedState {
	switch {
	case r.waiting:
		return ReportedWaits
	case r.lowered:
		return ReportedLowered
	case r.hasReceived && r.received != r.status:
		return ReportedUnproven
	case r.hasReceived:
		return ReportedCounts
	case r.seen, r.status == health.Unknown:
		return ReportedRestored
	}
	return ReportedNothing
}

func (in *instance) inspectReach(t turn, l LayerView) ReachView {
	r, n := &in.reach, &in.notes
	v := ReachView{
		LayerView: l, State: ReachState(r.state), Pushed: r.pushed(), Excused: excused(t.spec, &in.report),
		NotAsked: r.notAsked, OverForgiven: r.overForgiven, AnsweredAt: t.timeOrZero(n.answered),
		Fault: Fault{
			Kind: n.fault.kind, Cause: n.fault.cause, Count: n.fault.count, First: t.timeOrZero(n.fault.first), Last: t.timeOrZero(n.fault.last), Reason: n.fault.reason,
		},
	}
	switch {
	case v.NotAsked && r.state == reachHeard:
		v.Since = t.timeOrZero(n.notAskedSince)
	case r.state != reachHeard:
		v.Since = t.timeOrZero(n.reachSince)
	}
	return v
}

func (in *instance) inspectLease(t turn) LeaseView {
	if t.spec.Static {
		return LeaseView{}
	}
	l := &in.reach.lease
	return LeaseView{
		TTL: t.spec.TTL, RenewedAt: t.timeOrZero(l.renewedAt), EndsAt: t.timeOrZero(l.end.at), RemovedAt: t.timeOrZero(l.removal.at),
	}
}

func (i *inspector) guard(t turn, in *instance, l LayerView) GuardView {
	v := GuardView{LayerView: l}
	if g := i.mesh.guards.covering(t.spec.Zone); g != nil {
		v.State, v.Guard, v.ExpiresAt, v.Since = GuardTripped, g.view(), t.timeOrZero(g.limit.at), g.since
	}
	if in.guard.held {
		v.State, v.Since = GuardHolds, t.timeOrZero(in.notes.heldSince)
		if in.guard.expired {
			v.State = GuardExpired
		}
	}
	return v
}

func (in *instance) inspectDamping(t turn, l LayerView) DampingView {
	d, v := &in.damping, DampingView{LayerView: l, SuppressAt: flapSuppress, ReuseAt: flapReuse}
	if t.policy.FlapHalfLife < 0 {
		return v
	}
	v.State, v.Penalty = DampingQuiet, d.decayed(t.now, t.policy.FlapHalfLife)
	if d.suppressed {
		v.State, v.Since, v.ReleaseAt = DampingSuppressed, t.timeOrZero(d.since), t.timeOrZero(d.release.at)
	}
	return v
}

func (in *instance) inspectOverride(l LayerView) OverrideView {
	v := OverrideView{LayerView: l, Forced: in.override.forced}
	if v.Forced != nil {
		v.Since = v.Forced.SetAt
	}
	return v
}
