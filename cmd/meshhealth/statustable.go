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

// fewServices is the largest number of services for which the command status lists all.
const fewServices = 20

// printStatus prints findings in the format that the user has asked for. If all is false, a table
// omits instances that are SERVING, confirmed and without an override. It also omits zones that are
// not worse than their service or the mesh.
func (a *app) printStatus(out *output, f *findings, all bool) error {
	s := &statusPrinter{a, a.pen(out.colour), f, overviewOf(f)}
	switch out.format {
	case formatShort:
		return s.printShort()
	case formatTSV:
		return s.printTSV()
	case formatName:
		return s.printNames()
	}
	if f.mesh != nil {
		s.printHeadline()
	}
	switch {
	case f.mesh == nil || all:
		return s.printAll(true)
	case s.o.wellAltogether(f):
		s.printFooter(s.o.services + s.o.instances)
		return nil
	case s.o.services <= fewServices:
		return s.printAll(false)
	}
	return s.printTrouble()
}

// statusPrinter prints what the command status has found.
type statusPrinter struct {
	*app
	pen pen
	f   *findings
	o   *overview
}

// newStatusTable returns an empty table of statuses.
func newStatusTable() *table {
	return &table{
		head: []string{"STATUS", "NAME", "UP", "FOR", "CAUSE", "WHY"},
		drop: []int{2, 3, 4, 5}, name: 1,
	}
}

// printAll prints one table with all services and their instances. Instances that are well are
// omitted if all is false.
func (s *statusPrinter) printAll(all bool) error {
	t := newStatusTable()
	hidden := 0
	for _, g := range groupByService(s.f.entries) {
		hidden += g.addRows(t, s.pen, all || s.f.filtered)
	}
	if len(t.rows) > 0 {
		if s.f.mesh != nil {
			fmt.Fprintln(s.stdout)
		}
		if err := t.print(s.stdout, s.pen, s.columns); err != nil {
			return err
		}
	}
	s.printFooter(hidden)
	if s.f.filtered {
		return nil
	}
	return s.printChecks()
}

// printHeadline prints the first line of the output, which is about the whole mesh. It also prints
// a line about the coordinator, unless the coordinator is SERVING, confirmed and without an
// override. This warns the user: the coordinator computes all other statuses, so they may be wrong.
func (s *statusPrinter) printHeadline() {
	fmt.Fprintln(s.stdout, s.cutToTerminal(headline(s.pen, s.f, s.o)))
	if h := s.f.self; h != nil && !isWell(h) {
		status := s.pen.statusOf(h)
		line := fmt.Sprintf("The coordinator is %s: %s", s.pen.paint(status.style, status.text), wire.CleanTo(whyOf(h), maxShown))
		fmt.Fprintln(s.stdout, s.cutToTerminal(line))
	}
}

// headline returns the first line of the output.
func headline(p pen, f *findings, o *overview) string {
	status := p.statusOf(f.mesh)
	text := p.paint(status.style, status.text)
	if lasted := lastedOf(f.mesh); lasted != "" && o.services > 0 {
		text += " for " + lasted
	}
	text += fmt.Sprintf("%s%s, %s", gap, plural(o.services, "service"), plural(o.instances, "instance"))
	if o.unconfirmed > 0 {
		text += fmt.Sprintf(", %d not confirmed", o.unconfirmed)
	}
	return text
}

// printFooter prints a hint if nothing is registered. On a terminal it also prints hidden, the number
// of entries that the table omits because they are well.
func (s *statusPrinter) printFooter(hidden int) {
	switch {
	case s.f.filtered:
	case len(s.f.entries)+len(s.f.missing) == 0:
		s.say("Nothing is registered yet. Services register themselves with the client library; by hand:\n" +
			"  meshhealth register SERVICE/INSTANCE --address HOST:PORT")
	case hidden > 0 && s.columns > 0:
		s.say("What is well is not listed (%d); --all lists it.", hidden)
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
