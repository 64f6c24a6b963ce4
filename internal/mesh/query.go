package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Snapshot appends the states of all instances, services and zones, and of the mesh, to
// dst. The order of the states is random.
func (m *Mesh) Snapshot(dst []health.State) []health.State {
	for _, in := range m.instances {
		dst = append(dst, in.state)
	}
	for _, s := range m.aggregates.services {
		dst = append(dst, s.state)
		for _, r := range s.zones {
			dst = append(dst, r.state)
		}
	}
	for _, z := range m.aggregates.zones {
		dst = append(dst, z.state)
	}
	return append(dst, m.aggregates.mesh.state)
}

// State returns the state of an instance, a service, a zone or the mesh. ok is false if the
// name is unknown.
func (m *Mesh) State(id health.ID) (s health.State, ok bool) {
	if in := m.instances[id]; in != nil {
		return in.state, true
	}
	zone, inZone := id.Zone()
	if id.Service == health.MeshName {
		return m.aggregates.meshState(zone)
	}
	service := m.aggregates.services[id.Service]
	switch {
	case service == nil:
	case inZone && service.zones[zone] != nil:
		return service.zones[zone].state, true
	case id.Instance == "":
		return service.state, true
	}
	return health.State{}, false
}

// meshState returns the state of a zone, which counts all services in the zone. If zone is empty,
// it returns the state of the mesh. ok is false if there is no such zone.
func (a *aggregates) meshState(zone string) (s health.State, ok bool) {
	if zone == "" {
		return a.mesh.state, true
	}
	if z := a.zones[zone]; z != nil {
		return z.state, true
	}
	return health.State{}, false
}

// KeepsLease reports whether the client of an instance probably still renews the lease. It returns
// true if the last renewal is at most half a TTL ago. It also returns true if the instance was
// loaded from the store less than a TTL ago. It returns false for a static instance, which has no
// lease.
func (m *Mesh) KeepsLease(id health.ID, now time.Time) bool {
	m.setNow(now)
	in := m.instances[id]
	return in != nil && in.reach.lease.kept(m.now, in.spec)
}

// Score returns how many problems the process that owns the Mesh has, from 0 (none) to 7. It is the
// score at the time that was passed to the last call, such as Apply or Tick. A component that waits
// for instances should extend its time-out by Score times the length of the time-out.
func (m *Mesh) Score() int { return m.awareness.current(m.now) }

// Guards returns the guards that are tripped, in the order in which they tripped.
func (m *Mesh) Guards() []Guard { return m.guards.list() }

// Overrides returns all overrides, ordered by scope.
func (m *Mesh) Overrides() []ActiveOverride {
	instances := map[health.Scope]int{}
	for _, in := range m.instances {
		if forced := in.override.forced; forced != nil {
			instances[forced.Scope]++
		}
	}
	return m.overrides.list(instances)
}

// Overview has facts about the whole mesh.
type Overview struct {
	// Overrides is the number of overrides.
	Overrides int
	// AmnestyEnd is the time at which the amnesty after the start ends. It is zero if it has ended.
	AmnestyEnd time.Time
}

// Overview returns facts about the whole mesh.
func (m *Mesh) Overview() Overview {
	return Overview{Overrides: len(m.overrides.byScope), AmnestyEnd: m.timeOrZero(m.aggregates.amnesty.at)}
}

// TakeEndedOverrides returns the overrides that have ended since its last call.
func (m *Mesh) TakeEndedOverrides() []health.Override { return m.overrides.takeEnded() }
