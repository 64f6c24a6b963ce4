package health

import (
	"container/heap"
	"time"
)

// Mesh judges every instance, service and the whole from a sequence of events.
// It has one owner: Apply what was seen, sleep until Deadline, Tick.
//
// Times passed in must not go backwards by their monotonic reading. Each
// method appends its changes to dst and returns it, as append does.
type Mesh struct {
	policy    MeshPolicy
	epoch     uint64
	base      time.Time
	now       moment
	wall      time.Time
	revision  uint64
	instances map[ID]*instance
	services  map[string]*service
	zones     map[string]*whole
	tripped   []*guard
	whole     whole
	self      State
	overrides overrides
	// dependents are the services that cannot do without one.
	dependents map[string][]string
	due        dueHeap
	aware      awareness
}

// NewMesh returns an empty mesh whose amnesty, if it is given one, begins now.
// The policy's zero fields are replaced by their defaults.
func NewMesh(p MeshPolicy, epoch uint64, now time.Time) *Mesh {
	m := &Mesh{
		policy: p.WithDefaults(), epoch: epoch, base: now,
		instances: map[ID]*instance{}, services: map[string]*service{}, zones: map[string]*whole{},
		overrides:  overrides{by: map[Scope]*forcing{}, due: never},
		dependents: dependentsOf(p.Services),
	}
	m.setNow(now)
	m.self = State{Status: Starting, Cause: CauseStarting, Since: now}
	m.whole.state = State{ID: ID{Service: MeshName}, Since: now, Counts: &Counts{}}
	return m
}

// Epoch returns the number every Change carries.
func (m *Mesh) Epoch() uint64 { return m.epoch }

// Revision returns that of the last change.
func (m *Mesh) Revision() uint64 { return m.revision }

// Len returns the number of instances.
func (m *Mesh) Len() int { return len(m.instances) }

// Apply takes one event. An event that changes nothing costs a look-up and no
// memory.
func (m *Mesh) Apply(dst []Change, now time.Time, ev *Event) []Change {
	m.setNow(now)
	switch ev.Kind {
	case EventOverride:
		return m.override(dst, ev.Scope, ev.Override)
	case EventUnwell:
		m.aware.unwell(m.now)
		return dst
	}
	in := m.instances[ev.ID]
	if handled, changes := m.membership(dst, in, ev); handled {
		return changes
	}
	if in == nil || ev.Lease != in.spec.Lease {
		return dst
	}
	m.observe(in, ev)
	return m.settle(dst, in)
}

// membership handles the events by which instances come and go.
func (m *Mesh) membership(dst []Change, in *instance, ev *Event) (bool, []Change) {
	switch ev.Kind {
	case EventRegister:
		return true, m.register(dst, in, ev)
	case EventLoad:
		return true, m.load(dst, in, ev)
	case EventDeregister:
		if in == nil || ev.Lease != in.spec.Lease {
			return true, dst
		}
		return true, m.remove(dst, in)
	}
	return false, dst
}

// observe takes evidence into the layers.
func (m *Mesh) observe(in *instance, ev *Event) {
	switch ev.Kind {
	case EventReport:
		m.reached(in)
		in.report(m, &ev.Report)
	case EventAlive:
		m.reached(in)
	case EventRenew:
		m.renewed(in)
	case EventRefused:
		m.refused(in, ev.Reason)
	case EventPath:
		m.silence(in, ev.Reason)
	case EventConfig:
		m.misconfigured(in, ev.Cause, ev.Reason)
	case EventPushed:
		in.push(ev.On)
	case EventUnasked:
		m.unasked(in, ev.Reason)
	}
}

// Tick does what is due by now.
func (m *Mesh) Tick(dst []Change, now time.Time) []Change {
	m.setNow(now)
	for len(m.due) > 0 && m.due[0].due <= m.now {
		in := m.due[0]
		if gone := m.fire(in); gone {
			dst = m.remove(dst, in)
			continue
		}
		dst = m.settle(dst, in)
		m.schedule(in)
	}
	return m.tickGuards(m.tickOverrides(dst))
}

// fire runs in's due deadlines; it reports whether in must go.
func (m *Mesh) fire(in *instance) (gone bool) {
	for kind := range numDeadlines {
		if !in.deadlines[kind].due(m.now) {
			continue
		}
		d := in.deadlines[kind]
		in.deadlines[kind].disarm()
		switch kind {
		case dlHold:
			in.holdEnded(m.policy.RecoverAfter)
		case dlUnreachable:
			m.unreachable(in, d)
		case dlLease:
			gone = gone || m.leaseEnded(in, d.worn)
		case dlDamp:
			in.damping.release(m.now, m.policy.FlapHalfLife)
		case dlSilent:
			in.reach.silent = in.reach.doubt
		case dlRemove:
			gone = gone || m.goes(in)
		case dlGrace:
			in.aged = true
		}
	}
	return gone
}

// Deadline returns when Tick next has something to do. It may be early, when
// what was due has moved away since.
func (m *Mesh) Deadline() (time.Time, bool) {
	next := min(m.nextGuard(), m.overrides.due)
	if len(m.due) > 0 {
		next = min(next, m.due[0].due)
	}
	if next == never {
		return time.Time{}, false
	}
	return m.time(next), true
}

// Forgive moves every deadline by as much as the owner was late, at most four
// times its own length; a deadline that would have needed more ends in Unknown
// instead of NotServing. What a person set is not moved.
func (m *Mesh) Forgive(late time.Duration) {
	m.aware.raise(m.now + moment(late))
	for _, in := range m.instances {
		for kind := range numDeadlines {
			in.deadlines[kind].forgive(late)
		}
		in.fresh.forgive(late)
		in.due = in.nextDue()
	}
	for _, g := range m.tripped {
		g.limit.forgive(late)
	}
	heap.Init(&m.due)
}

// Snapshot appends every state, services and the mesh included, in no order.
func (m *Mesh) Snapshot(dst []State) []State {
	for _, in := range m.instances {
		dst = append(dst, in.state)
	}
	for _, s := range m.services {
		dst = append(dst, s.state)
		for _, p := range s.parts {
			dst = append(dst, p.state)
		}
	}
	for _, z := range m.zones {
		if z.state.Revision != 0 {
			dst = append(dst, z.state)
		}
	}
	return append(dst, m.whole.state)
}

// State returns the state of one name.
func (m *Mesh) State(id ID) (State, bool) {
	if id.Service == MeshName && id.Instance == "" {
		return m.whole.state, true
	}
	if in, ok := m.instances[id]; ok {
		return in.state, true
	}
	zone, part := id.Part()
	s := m.services[id.Service]
	switch {
	case part && id == ZoneID(zone):
		if z := m.zones[zone]; z != nil && z.state.Revision != 0 {
			return z.state, true
		}
	case part && s != nil && s.parts[zone] != nil:
		return s.parts[zone].state, true
	case s != nil && id.Instance == "":
		return s.state, true
	}
	return State{}, false
}

func (m *Mesh) setNow(now time.Time) {
	m.wall = now
	// 1 is the first moment: 0 means never.
	m.now = moment(now.Sub(m.base)) + 1
}

func (m *Mesh) time(at moment) time.Time { return m.base.Add(time.Duration(at - 1)) }

// schedule puts in where its next deadline belongs.
func (m *Mesh) schedule(in *instance) {
	in.due = in.nextDue()
	if in.heapAt == notInHeap {
		heap.Push(&m.due, in)
		return
	}
	heap.Fix(&m.due, in.heapAt)
}

// hasten does the same when the next deadline may have come nearer, and
// nothing when it has only moved away.
func (m *Mesh) hasten(in *instance) {
	if in.nextDue() < in.due {
		m.schedule(in)
	}
}

// change stamps and appends one.
func (m *Mesh) change(dst []Change, s *State, from Status) []Change {
	m.revision++
	s.Revision = m.revision
	return append(dst, Change{State: *s, Epoch: m.epoch, From: from, At: m.wall})
}
