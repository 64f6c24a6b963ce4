package mesh

import (
	"container/heap"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Mesh computes the status of all instances, services and zones, and of the mesh, from a
// sequence of events. Its owner calls Apply for each event, and calls Tick at the time that
// Deadline returns.
//
// The monotonic readings of the times that a Mesh receives must not decrease. A method with a
// parameter dst appends its changes to dst and returns the extended slice.
type Mesh struct {
	env
	instances  map[health.ID]*instance
	schedule   schedule
	guards     guards
	overrides  overrides
	aggregates aggregates
	starting   starting
	self       health.State // state of the process that owns the mesh, see PublishSelf
}

// New returns an empty mesh. The amnesty (see [health.MeshPolicy]) begins at the time now. Fields
// of p that are zero get their defaults. All changes of the mesh have the number epoch in their
// field Epoch.
func New(p health.MeshPolicy, epoch uint64, now time.Time) *Mesh {
	m := &Mesh{
		env:       env{policy: p.WithDefaults(), clock: clock{base: now}, out: output{epoch: epoch}},
		instances: map[health.ID]*instance{},
		guards:    guards{zones: map[string]*guard{}},
		overrides: newOverrides(),
		self:      health.State{Status: health.Starting, Cause: health.CauseStarting, Since: now},
	}
	m.setNow(now)
	m.aggregates = newAggregates(&m.env)
	m.starting.amnesty = m.aggregates.amnesty.armed()
	return m
}

// Epoch returns the number that all changes have in their field Epoch.
func (m *Mesh) Epoch() uint64 { return m.out.epoch }

// Revision returns the revision of the last change. It is 0 before the first change.
func (m *Mesh) Revision() uint64 { return m.out.revision }

// Len returns the number of instances.
func (m *Mesh) Len() int { return len(m.instances) }

// Apply handles one event, which comes at the time now. An event that changes nothing allocates no
// memory.
func (m *Mesh) Apply(dst []health.Change, now time.Time, ev *Event) []health.Change {
	m.begin(dst, now)
	m.setStarting(starting{loading: ev.Kind == EventLoad, amnesty: m.starting.amnesty})
	m.apply(ev)
	return m.out.end()
}

func (m *Mesh) apply(ev *Event) {
	if ev.Kind == EventOverride {
		m.setOverride(ev.Scope, ev.Override)
		return
	}
	in := m.instances[ev.ID]
	if m.applyMembership(in, ev) {
		return
	}
	if in == nil || ev.Lease != in.spec.Lease {
		return
	}
	m.observe(in, ev)
	m.update(in)
}

// Tick handles all deadlines that are due at the time now.
func (m *Mesh) Tick(dst []health.Change, now time.Time) []health.Change {
	m.begin(dst, now)
	m.setStarting(starting{amnesty: m.starting.amnesty})
	for m.schedule.next() <= m.now {
		in := m.schedule[0]
		if gone := m.tickInstance(in); gone {
			m.remove(in)
			continue
		}
		m.update(in)
		m.schedule.update(in)
	}
	if amnestyEnds := m.aggregates.tick(); amnestyEnds {
		m.setStarting(starting{})
	}
	if m.overrides.tick(m.now) {
		m.applyOverrides(anyInstance)
	}
	m.tickGuards()
	return m.out.end()
}

// Deadline returns the time when Tick must be called next. ok is false if no deadline is
// armed. Tick may have nothing to do at this time.
func (m *Mesh) Deadline() (at time.Time, ok bool) {
	next := min(m.schedule.next(), m.guards.nextDeadline(), m.overrides.nextDeadline(), m.aggregates.nextDeadline())
	if next == lastMoment {
		return time.Time{}, false
	}
	return m.timeOf(next), true
}

// Forgive delays all deadlines by the lateness of this process. The ends of overrides stay the
// same.
//
// All delays of a deadline together are at most four times its length. If a deadline that was
// delayed to this limit ends, the instance becomes UNKNOWN and not NOT_SERVING. Two lower limits
// apply if this process is late again and again. An instance becomes suspect at most twice
// UnreachableAfter after its last answer. It is declared dead at most four times UnreachableAfter
// after that answer.
func (m *Mesh) Forgive(lateness time.Duration) {
	m.awareness.noteLateness(m.now, lateness, m.policy.UnreachableAfter)
	for _, in := range m.instances {
		in.extend(in.turn(&m.env), lateness)
		in.due = in.nextDeadline()
	}
	m.aggregates.amnesty.extend(lateness)
	m.guards.extend(lateness)
	heap.Init(&m.schedule)
}

// Retune replaces the policies of services with the map services. The policies must be valid.
func (m *Mesh) Retune(dst []health.Change, now time.Time, services map[string]health.ServicePolicy) []health.Change {
	m.begin(dst, now)
	m.policy.Services = services
	m.aggregates.retune()
	return m.out.end()
}

// LoadOverrides adds overrides from the store, each with its scope. It must be called after all
// instances are loaded. It does not add overrides that have already ended. TakeEndedOverrides
// returns these.
func (m *Mesh) LoadOverrides(dst []health.Change, now time.Time, stored []health.Override) []health.Change {
	m.begin(dst, now)
	for i := range stored {
		m.overrides.set(&m.env, stored[i], m.instances[stored[i].Scope.ID()] != nil)
	}
	m.applyOverrides(anyInstance)
	m.setStarting(starting{amnesty: m.starting.amnesty})
	return m.out.end()
}

// PublishSelf publishes the status of the process that owns the mesh, under the empty name. No
// aggregate counts this status. While a guard is tripped, the published status is DEGRADED or
// worse. The change gets the time that was passed to the last call of another method, such as Apply
// or Tick.
func (m *Mesh) PublishSelf(dst []health.Change, status health.Status, cause health.Cause, reason string) []health.Change {
	s := &m.self
	if len(m.guards.tripped) > 0 && !status.WorseThan(health.Degraded) {
		if reason != "" {
			reason = "; " + reason
		}
		reason = m.guards.describe() + reason
		status, cause = health.Degraded, health.CauseGuarded
	}
	if s.Revision != 0 && s.Status == status && s.Cause == cause && s.Reason == reason {
		return dst
	}
	from := s.Status
	if s.Status != status {
		s.Since = m.wall
	}
	s.Status, s.Cause, s.Reason = status, cause, reason
	m.out.begin(dst)
	m.publish(s, from)
	return m.out.end()
}
