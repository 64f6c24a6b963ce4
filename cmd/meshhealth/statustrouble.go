package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// maxSection is the largest number of rows in a section of the command status.
const maxSection = 20

// printTrouble prints the counts by status, the roots and the other services in trouble, and a line
// about the coordinator.
func (s *statusPrinter) printTrouble() error {
	fmt.Fprintln(s.stdout, s.cutToTerminal("services:  "+byStatus(&s.o.byStatus)))
	fmt.Fprintln(s.stdout, s.cutToTerminal("instances: "+byStatus(&s.o.inStatus)))
	t := newStatusTable()
	if len(s.o.roots) > 0 {
		t.add(cell{fmt.Sprintf("ROOTS: %d, with %d of the %d services in trouble", len(s.o.roots), len(s.o.roots)+s.o.affected, s.o.trouble), strong})
		addSection(t, s.pen, s.o.roots)
	}
	if len(s.o.others) > 0 {
		t.add(cell{fmt.Sprintf("OTHERS: %d", len(s.o.others)), strong})
		addSection(t, s.pen, s.o.others)
	}
	if len(t.rows) > 0 {
		fmt.Fprintln(s.stdout)
		if err := t.print(s.stdout, s.pen, s.columns); err != nil {
			return err
		}
	}
	fmt.Fprintln(s.stdout)
	_, err := fmt.Fprintln(s.stdout, s.cutToTerminal(coordinatorLine(s.pen, s.f)))
	if s.columns > 0 {
		s.say("%s; `meshhealth status --all` lists everything.", plural(len(s.f.entries), "name"))
		if next := slices.Concat(s.o.roots, s.o.others); len(next) > 0 {
			s.say("`meshhealth explain %s` says why.", nameOf(next[0]))
		}
	}
	return err
}

// addSection adds a row for each entry, and says how many did not fit.
func addSection(t *table, p pen, entries []*pb.Health) {
	for _, h := range entries[:min(len(entries), maxSection)] {
		t.add(statusRow(p, h, strong)...)
	}
	if more := len(entries) - maxSection; more > 0 {
		t.add(cell{fmt.Sprintf("%s and %d more", p.dots(), more), faint})
	}
}

// byStatus returns counts by status as a text, the most frequent statuses of each kind first.
func byStatus(counts *[health.NumStatuses]int) string {
	var parts []string
	for _, s := range []health.Status{
		health.Serving, health.Degraded, health.NotServing, health.Unknown, health.Starting, health.Draining, health.Maintenance,
	} {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// coordinatorLine returns a line that says how far the statuses can be relied on.
func coordinatorLine(p pen, f *findings) string {
	text := "coordinator:"
	if f.self != nil {
		status := p.statusOf(f.self)
		text += " " + p.paint(status.style, status.text)
	}
	if s := f.state; s != nil {
		guards := "no guard tripped"
		if n := len(s.GetGuards()); n > 0 {
			guards = plural(n, "guard") + " tripped"
		}
		text += fmt.Sprintf(", %.0f %% of polls in time, score %d of 7, %s", 100*s.GetPollCoverage(), s.GetScore(), guards)
	}
	return text
}

// cutToTerminal cuts a line at the right edge of the terminal. Without a terminal it does nothing.
func (s *statusPrinter) cutToTerminal(line string) string {
	if s.columns == 0 || s.pen.plain || columnsOfPainted(line) <= s.columns {
		return line
	}
	return cutColumns(unpainted(line), s.columns, s.pen.dots())
}
