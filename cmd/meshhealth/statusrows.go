package main

import (
	"cmp"
	"slices"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// service is a service and its instances.
type service struct {
	self      *pb.Health // nil if only instances were asked for
	instances []*pb.Health
}

// group puts instances below their services, the worst service first.
func group(entries []*pb.Health) []*service {
	byName := map[string]*service{}
	var groups []*service
	for _, h := range entries {
		g := byName[h.GetService()]
		if g == nil {
			g = &service{}
			byName[h.GetService()] = g
			groups = append(groups, g)
		}
		if h.GetInstance() == "" {
			g.self = h
		} else {
			g.instances = append(g.instances, h)
		}
	}
	for _, g := range groups {
		slices.SortStableFunc(g.instances, worseFirst)
	}
	slices.SortStableFunc(groups, func(a, b *service) int { return worseFirst(a.worst(), b.worst()) })
	return groups
}

func (g *service) worst() *pb.Health {
	if g.self != nil {
		return g.self
	}
	return g.instances[0]
}

// worseFirst orders by how bad a status is, then by name.
func worseFirst(a, b *pb.Health) int {
	if worse := cmp.Compare(severity(b), severity(a)); worse != 0 {
		return worse
	}
	return strings.Compare(nameOf(a), nameOf(b))
}

// severity counts the statuses that are less bad; doubt breaks ties.
func severity(h *pb.Health) int {
	s, _ := health.StatusFromWire(int32(h.GetStatus()))
	n := 0
	for _, other := range health.Statuses() {
		if s.WorseThan(other) {
			n += 2
		}
	}
	if !well(h) {
		n++
	}
	return n
}

// rows adds a service and its instances, and returns how many it left out.
func (g *service) rows(t *table, p pen, all bool) (hidden int) {
	if g.self != nil {
		t.add(row(p, g.self, strong)...)
	}
	for _, h := range g.instances {
		if isPart(h) && !all && !g.worseThere(h) {
			continue
		}
		if well(h) && !all {
			hidden++
			continue
		}
		t.add(row(p, h, plainText)...)
	}
	return hidden
}

// isPart reports whether h is a zone, or what a service has in one.
func isPart(h *pb.Health) bool {
	_, part := health.ID{Service: h.GetService(), Instance: h.GetInstance()}.Part()
	return part
}

// worseThere reports whether a zone is worth a row: one that is not well, or
// where the service is worse off than elsewhere.
func (g *service) worseThere(h *pb.Health) bool {
	if g.self == nil {
		return !well(h)
	}
	return severity(h) > severity(g.self)
}

func row(p pen, h *pb.Health, name style) []cell {
	indent := ""
	if h.GetInstance() != "" && h.GetService() != health.MeshName {
		indent = "  "
	}
	return []cell{
		p.statusOf(h),
		{indent + or(nameOf(h), "(the server asked)"), name},
		{upOf(h), plainText},
		{forOf(h), plainText},
		{causeOf(h.GetCause()), plainText},
		{whyOf(h), plainText},
	}
}
