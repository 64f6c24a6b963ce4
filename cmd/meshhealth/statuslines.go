package main

import (
	"cmp"
	"fmt"
	"strings"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// printShort prints one line, which a person can paste into a chat.
func (s *statusPrinter) printShort() error {
	p := pen{ascii: s.asciiOnly(), plain: true}
	var parts []string
	if s.f.mesh != nil {
		text := headline(p, s.f, s.o)
		if s.o.trouble > 0 {
			text += fmt.Sprintf("; %d in trouble", s.o.trouble)
		}
		parts = append(parts, strings.Join(strings.Fields(text), " "))
		parts = appendShort(parts, p, "roots: ", s.o.roots)
		parts = appendShort(parts, p, "others: ", s.o.others)
	} else {
		parts = appendShort(parts, p, "", s.f.entries)
	}
	for _, name := range s.f.missing {
		parts = append(parts, name+" is not registered")
	}
	_, err := fmt.Fprintln(s.stdout, wire.CleanTo(cmp.Or(strings.Join(parts, "; "), "nothing"), maxShown))
	return err
}

// maxShort is the largest number of names in a short line.
const maxShort = 5

// appendShort appends a text with the first entries and their statuses.
func appendShort(parts []string, p pen, title string, entries []*pb.Health) []string {
	if len(entries) == 0 {
		return parts
	}
	var names []string
	for _, h := range entries[:min(len(entries), maxShort)] {
		text := nameOf(h) + " " + p.statusOf(h).text
		if cause := causeOf(h.GetCause()); cause != "" {
			text += " (" + cause + ")"
		}
		if n := h.GetAffected(); n > 0 {
			text += " " + p.choose("→", "->") + " " + plural(int(n), "service")
		}
		names = append(names, text)
	}
	if more := len(entries) - maxShort; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return append(parts, title+strings.Join(names, ", "))
}

// printTSV prints one line for each entry, with tabs between the fields. FOR is a number of seconds.
func (s *statusPrinter) printTSV() error {
	var b strings.Builder
	b.WriteString("STATUS\tNAME\tUP\tFOR\tCAUSE\tWHY\n")
	for _, h := range withMesh(s.f) {
		status, _ := health.StatusFromWire(int32(h.GetStatus()))
		fields := []string{
			status.String(), nameOf(h), routableOf(h), fmt.Sprint(int64(h.GetAge().AsDuration().Seconds())),
			health.CauseFromWire(int32(h.GetCause())).String(), whyOf(h),
		}
		for i, field := range fields {
			fields[i] = strings.ReplaceAll(wire.CleanTo(field, maxShown), "\t", " ")
		}
		b.WriteString(strings.Join(fields, "\t") + "\n")
	}
	_, err := fmt.Fprint(s.stdout, b.String())
	return err
}

// printNames prints one name a line.
func (s *statusPrinter) printNames() error {
	var b strings.Builder
	for _, h := range withMesh(s.f) {
		b.WriteString(wire.CleanTo(nameOf(h), wire.MaxFullName) + "\n")
	}
	_, err := fmt.Fprint(s.stdout, b.String())
	return err
}

// withMesh returns the entries in f with the entry of the mesh first, if there is one.
func withMesh(f *findings) []*pb.Health {
	if f.mesh == nil {
		return f.entries
	}
	return append([]*pb.Health{f.mesh}, f.entries...)
}
