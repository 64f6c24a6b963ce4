package health

import (
	"strings"
	"time"
)

// What a service has in one zone is published as "service/@zone", and a zone of
// the mesh as "*/zone". No instance can have such a name.
const partPrefix = "@"

// PartID names what a service has in a zone.
func PartID(service, zone string) ID { return ID{service, partPrefix + zone} }

// ZoneID names a zone of the mesh.
func ZoneID(zone string) ID { return ID{MeshName, zone} }

// Part returns the zone if id names what a service has there, or that zone of
// the mesh.
func (id ID) Part() (zone string, ok bool) {
	if id.Service == MeshName {
		return id.Instance, id.Instance != ""
	}
	return strings.CutPrefix(id.Instance, partPrefix)
}

// zone returns the one of this name, made if need be.
func (m *Mesh) zone(name string) *whole {
	z := m.zones[name]
	if z == nil {
		z = &whole{guard: guard{zone: name}}
		z.state = State{ID: ZoneID(name), Since: m.wall, Counts: &Counts{}}
		m.zones[name] = z
	}
	return z
}

// forget drops a zone nobody is in any more.
func (m *Mesh) forget(z *whole) {
	if z.guard.known == 0 && total(&z.all) == 0 {
		delete(m.zones, z.guard.zone)
	}
}

// recountZones enters an instance anew in what its service has in its zone.
func (m *Mesh) recountZones(dst []Change, in *instance, was, now tally) []Change {
	if was.zone != now.zone {
		dst = m.recountPart(dst, in, was, tally{})
		was = tally{}
	}
	return m.recountPart(dst, in, was, now)
}

func (m *Mesh) recountPart(dst []Change, in *instance, was, now tally) []Change {
	zone := now.zone
	if zone == "" {
		zone = was.zone
	}
	if zone == "" {
		return dst
	}
	p := in.svc.part(m, zone)
	p.enter(was, -1)
	p.enter(now, 1)
	if total(&p.all) == 0 {
		return m.removePart(dst, in.svc, zone)
	}
	return m.resettlePart(dst, in.svc, zone, in.state.FirstFailure)
}

func (s *service) part(m *Mesh, zone string) *group {
	p := s.parts[zone]
	if p == nil {
		fresh := m.newGroup(PartID(s.state.ID.Service, zone))
		p = &fresh
		if s.parts == nil {
			s.parts = map[string]*group{}
		}
		s.parts[zone] = p
	}
	return p
}

func (m *Mesh) resettlePart(dst []Change, s *service, zone string, first time.Time) []Change {
	p := s.parts[zone]
	from := p.state.Status
	if m.regroup(p, s.policy.Rule.inZone(), s.policy.MinAvailable, first) {
		dst = m.change(dst, &p.state, from)
	}
	return m.recountWhole(dst, m.zone(zone), p, s.policy.Optional)
}

// removePart takes out what is empty, and its zone if that is.
func (m *Mesh) removePart(dst []Change, s *service, zone string) []Change {
	p, z := s.parts[zone], m.zone(zone)
	delete(s.parts, zone)
	p.state.Removed = true
	dst = m.change(dst, &p.state, p.state.Status)
	z.enter(p.inWhole, -1)
	if total(&z.all) > 0 {
		return m.settleWhole(dst, z, time.Time{})
	}
	gone := z.state
	gone.Removed = true
	dst = m.change(dst, &gone, gone.Status)
	z.state = State{ID: gone.ID, Since: m.wall, Counts: &Counts{}}
	m.forget(z)
	return dst
}

// inZone is the rule for what a service has in one zone. How many there must be
// is said of all of it, so that it says nothing there.
func (r Rule) inZone() Rule {
	if r.kind == atLeast && r.n > 1 {
		return Available
	}
	return r
}
