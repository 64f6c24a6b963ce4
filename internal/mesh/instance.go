package mesh

import (
	"container/heap"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// instance is one registered instance: the layers that compute its status, and its last published
// state.
type instance struct {
	spec    *health.Spec
	state   health.State
	service *serviceAggregate

	report   reportLayer
	reach    reachLayer
	guard    guardLayer
	damping  dampingLayer
	override overrideLayer
	route    route
	notes    notes

	proven  bool         // true if the instance was routable (SERVING or DEGRADED) at least once since its registration
	aged    bool         // true if the instance is older than StartupGrace
	grace   deadline     // moment when the instance becomes older than StartupGrace
	counted contribution // what the instance adds to the counts of its service now

	due    moment // moment when Tick must handle the instance; not later than the result of nextDeadline
	heapAt int    // index of the instance in the schedule, or notScheduled
}

// turn returns the values that the layers of this instance may use.
func (in *instance) turn(e *env) turn {
	return turn{env: e, service: in.state.ID.Service, spec: in.spec}
}

// nextDeadline returns the moment of the earliest deadline of the instance's layers.
func (in *instance) nextDeadline() moment {
	return min(in.report.nextDeadline(), in.reach.nextDeadline(), in.damping.nextDeadline(), in.grace.next())
}

// extend delays all deadlines of the instance by the lateness of this process. The ends of
// overrides stay the same.
func (in *instance) extend(t turn, lateness time.Duration) {
	in.report.recover.extend(lateness)
	in.reach.extend(t, lateness)
	in.damping.release.extend(lateness)
	in.grace.extend(lateness)
}

// contribution returns what the published state adds to the counts of the service.
func (in *instance) contribution() contribution {
	return contribution{
		present: true, status: in.state.Status, standing: in.standing(), unconfirmed: in.state.Unconfirmed,
		young: !in.aged, zone: in.spec.Zone,
	}
}

func (in *instance) standing() standing {
	switch s := in.state.Status; {
	case s == health.Draining || s == health.Maintenance:
		return uncounted
	case in.proven, in.state.Cause == health.CauseFlapping:
		// A new process keeps the suppression of the earlier process with the same name. While
		// it is suppressed, it counts, even if it was not routable yet.
		return countedFully
	case in.aged && in.report.confirmed:
		return countedFully
	case in.aged && in.report.unheard:
		return unheard
	case in.aged:
		return unproven
	}
	return uncounted
}

// differs reports whether the instance must be published again, because the verdict v or a value
// of a layer differs from the published state. judged is the status without the override.
func (in *instance) differs(v verdict, judged health.Status) bool {
	s, identity := &in.state, &in.reach.lease.identity
	return s.Status != v.status || s.Judged != judged || s.Cause != v.cause || s.Reason != v.reason ||
		s.Unconfirmed != v.unconfirmed || s.Override != in.override.forced || s.Spec != in.spec ||
		s.Pushed != in.reach.pushed() || s.Source != in.report.source || s.Unreachable != in.reach.wantsReport(in.spec) ||
		s.Proven != in.proven || s.Expired != in.reach.expired(in.guard.held) || in.report.changed || s.NextCause != v.nextCause ||
		s.Unheard != in.report.unheard || s.Named != in.report.named || s.Via != in.report.via || s.Stranger != identity.stranger ||
		s.Unproved != identity.unproved || in.routeDiffers()
}

func (in *instance) routeDiffers() bool {
	route, kept := in.route.published()
	return in.state.Route != route || in.state.RouteKept != kept || in.state.Endpoint != in.route.endpoint ||
		in.state.Proof != in.route.proof
}

// setState copies the verdict v and values of the layers into the state of the instance. judged is
// the status without the override.
func (in *instance) setState(c *clock, v verdict, judged health.Status) {
	s, identity := &in.state, &in.reach.lease.identity
	if s.Status != v.status {
		s.Since = c.wall
	}
	in.setFirstFailure(c, v.status)
	s.Status, s.Judged, s.Cause, s.Reason = v.status, judged, v.cause, v.reason
	s.Unconfirmed, s.Override, s.Spec = v.unconfirmed, in.override.forced, in.spec
	s.Proven, s.Pushed, s.Source, s.Unreachable = in.proven, in.reach.pushed(), in.report.source, in.reach.wantsReport(in.spec)
	s.Expired, s.Named, s.Via, s.Stranger = in.reach.expired(in.guard.held), in.report.named, in.report.via, identity.stranger
	s.Unheard, s.Unproved = in.report.unheard, identity.unproved
	s.Route, s.RouteKept = in.route.published()
	s.Endpoint, s.Proof = in.route.endpoint, in.route.proof
	s.Checks, s.Metrics = in.report.checks, in.report.metrics
	s.NextAt, s.NextCause = time.Time{}, v.nextCause
	if v.nextAt != 0 {
		s.NextAt = c.timeOf(v.nextAt)
	}
	in.report.changed = false
}

// setFirstFailure updates the time FirstFailure in the state. If the new status is a failure and
// no time is set, setFirstFailure sets the time when the failure began. If the new status is
// SERVING, it clears the time.
func (in *instance) setFirstFailure(c *clock, status health.Status) {
	s := &in.state
	switch {
	case status == health.Serving:
		s.FirstFailure = time.Time{}
	case !s.FirstFailure.IsZero() || !status.InTrouble():
	case in.report.firstFailure.IsZero():
		s.FirstFailure = c.wall
	default:
		s.FirstFailure = in.report.firstFailure
	}
}

// schedule is a heap of all instances, ordered by the field due. If a deadline of an instance
// moves to a later time, the field due stays the same until Tick handles the instance.
type schedule []*instance

const notScheduled = -1

// update stores the next deadline of the instance in its field due, and moves the instance to its
// place in the heap. A new instance is added to the heap.
func (s *schedule) update(in *instance) {
	in.due = in.nextDeadline()
	if in.heapAt == notScheduled {
		heap.Push(s, in)
		return
	}
	heap.Fix(s, in.heapAt)
}

// advance calls update if the next deadline of the instance is earlier than the field due of this
// instance.
func (s *schedule) advance(in *instance) {
	if in.nextDeadline() < in.due {
		s.update(in)
	}
}

func (s *schedule) remove(in *instance) { heap.Remove(s, in.heapAt) }

// next returns the moment when the first instance is due, or lastMoment if the heap is empty.
func (s schedule) next() moment {
	if len(s) == 0 {
		return lastMoment
	}
	return s[0].due
}

// Len and the methods below implement heap.Interface.
func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due < s[j].due }

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].heapAt, s[j].heapAt = i, j
}

func (s *schedule) Push(x any) {
	in := x.(*instance)
	in.heapAt = len(*s)
	*s = append(*s, in)
}

func (s *schedule) Pop() any {
	old := *s
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	last.heapAt = notScheduled
	return last
}
