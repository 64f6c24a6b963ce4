package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// printStatus prints findings as a table, with a line about the mesh above it. If all is false, it
// omits instances that are SERVING, confirmed and without an override. It also omits zones that are
// not worse than their service or the mesh.
func (a *app) printStatus(out *output, f *findings, all bool) error {
	p := a.pen(out.colour)
	if f.mesh != nil {
		fmt.Fprintln(a.stdout, headline(p, f))
		a.printCoordinator(p, f.self)
	}
	t := table{head: []string{"STATUS", "NAME", "UP", "FOR", "CAUSE", "WHY"}}
	hidden := 0
	for _, g := range groupByService(f.entries) {
		hidden += g.addRows(&t, p, all)
	}
	if len(t.rows) > 0 {
		if f.mesh != nil {
			fmt.Fprintln(a.stdout)
		}
		if err := t.print(a.stdout, p, a.columns); err != nil {
			return err
		}
	}
	a.printFooter(f, hidden)
	return a.printChecks(p, f)
}

// headline returns the first line of the output, which is about the whole mesh.
func headline(p pen, f *findings) string {
	services, instances, unconfirmed := 0, 0, 0
	for _, h := range f.entries {
		switch {
		case h.GetInstance() == "":
			services++
		case !isZone(h):
			instances++
			if h.GetUnconfirmed() {
				unconfirmed++
			}
		}
	}
	status := p.statusOf(f.mesh)
	text := p.paint(status.style, status.text)
	if lasted := lastedOf(f.mesh); lasted != "" && services > 0 {
		text += " for " + lasted
	}
	text += fmt.Sprintf("%s%s, %s", gap, plural(services, "service"), plural(instances, "instance"))
	if unconfirmed > 0 {
		text += fmt.Sprintf(", %d not confirmed", unconfirmed)
	}
	return text
}

// printCoordinator prints the status of the coordinator itself, unless it is SERVING, confirmed and
// without an override. This warns the user: the coordinator computes all other statuses, so they
// may be wrong.
func (a *app) printCoordinator(p pen, h *pb.Health) {
	if h == nil || isWell(h) {
		return
	}
	status := p.statusOf(h)
	fmt.Fprintf(a.stdout, "The coordinator is %s: %s\n", p.paint(status.style, status.text), wire.CleanTo(whyOf(h), maxShown))
}

// printFooter prints a hint if nothing is registered. On a terminal it also prints hidden, the number
// of instances that the table omits.
func (a *app) printFooter(f *findings, hidden int) {
	switch {
	case len(f.entries)+len(f.missing) == 0:
		a.say("Nothing is registered yet. Services register themselves with the client library; by hand:\n" +
			"  meshhealth register SERVICE/INSTANCE --address HOST:PORT")
	case hidden > 0 && a.columns > 0:
		a.say("%s well and not listed; --all lists them.", plural(hidden, "instance"))
	}
}

// serviceGroup is a service, or the mesh, with its instances and zones in the order of the table.
type serviceGroup struct {
	self      *pb.Health // entry of the service or mesh; nil if the command line names only instances
	instances []*pb.Health
}

// groupByService groups entries by service. Services, and instances in a service, are ordered by
// their status, the worst first.
func groupByService(entries []*pb.Health) []*serviceGroup {
	byName := map[string]*serviceGroup{}
	var groups []*serviceGroup
	for _, h := range entries {
		g := byName[h.GetService()]
		if g == nil {
			g = &serviceGroup{}
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
	slices.SortStableFunc(groups, func(a, b *serviceGroup) int { return worseFirst(a.first(), b.first()) })
	return groups
}

// first returns the entry that decides the place of the group in the table: the service. If the
// group has no entry of the service, it is the first instance.
func (g *serviceGroup) first() *pb.Health {
	if g.self != nil {
		return g.self
	}
	return g.instances[0]
}

// worseFirst compares two entries by status, the worse one first, and then by name.
func worseFirst(a, b *pb.Health) int {
	if worse := cmp.Compare(severity(b), severity(a)); worse != 0 {
		return worse
	}
	return strings.Compare(nameOf(a), nameOf(b))
}

// severity returns a number that is higher for a worse status. Among SERVING entries, the number is
// higher for an entry that is unconfirmed or has an override.
func severity(h *pb.Health) int {
	s, _ := health.StatusFromWire(int32(h.GetStatus()))
	n := 0
	for _, other := range health.Statuses() {
		if s.WorseThan(other) {
			n += 2
		}
	}
	if !isWell(h) {
		n++
	}
	return n
}

// addRows adds the rows of a service and its instances to t. hidden is the number of instances that
// addRows omits because isWell is true for them.
func (g *serviceGroup) addRows(t *table, p pen, all bool) (hidden int) {
	if g.self != nil {
		t.add(statusRow(p, g.self, strong)...)
	}
	for _, h := range g.instances {
		if isZone(h) && !all && !g.isWorseZone(h) {
			continue
		}
		if isWell(h) && !all {
			hidden++
			continue
		}
		t.add(statusRow(p, h, plainText)...)
	}
	return hidden
}

// isWorseZone reports whether the table must show the zone h, because its status is worse than the
// status of the service or mesh.
func (g *serviceGroup) isWorseZone(h *pb.Health) bool {
	if g.self == nil {
		return !isWell(h)
	}
	return severity(h) > severity(g.self)
}

func statusRow(p pen, h *pb.Health, name style) []cell {
	indent := ""
	if h.GetInstance() != "" && h.GetService() != health.MeshName {
		indent = "  "
	}
	return []cell{
		p.statusOf(h),
		{indent + cmp.Or(nameOf(h), "(the server asked)"), name},
		{routableOf(h), plainText},
		{lastedOf(h), plainText},
		{causeOf(h.GetCause()), plainText},
		{whyOf(h), plainText},
	}
}
