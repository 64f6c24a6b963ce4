package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// String returns the script in the text form that [Parse] reads.
func (s *Script) String() string {
	var b strings.Builder
	p := &s.Policy
	fmt.Fprintf(&b, "setup seed=%d log=%d start=%v", s.Seed, s.LogBytes, s.Start)
	for _, f := range policyFields(p) {
		fmt.Fprintf(&b, " %s=%s", f.name, f.get())
	}
	b.WriteByte('\n')
	for i := range s.Services {
		s.Services[i].write(&b)
	}
	for i := range s.Steps {
		s.Steps[i].write(&b)
	}
	return b.String()
}

func (v *Service) write(b *strings.Builder) {
	fmt.Fprintf(b, "service %s instances=%d zones=%d source=%d static=%t rule=%s min=%d optional=%t critical=%t\n", v.Name,
		v.Instances, v.Zones, v.Source, v.Static, v.Policy.Rule, v.Policy.MinAvailable, v.Policy.Optional, v.Policy.Critical)
}

func (s *Step) write(b *strings.Builder) {
	who := s.Who
	if who == "" {
		who = "-"
	}
	fmt.Fprintf(b, "%v %s %s", s.At, s.Op, who)
	if s.Status != 0 {
		fmt.Fprintf(b, " status=%s", s.Status)
	}
	if s.For != 0 {
		fmt.Fprintf(b, " for=%v", s.For)
	}
	if s.N != 0 {
		fmt.Fprintf(b, " n=%d", s.N)
	}
	b.WriteByte('\n')
}

// field is one named value of a script. get returns the value as a text, and set sets the value
// from a text.
type field struct {
	name string
	get  func() string
	set  func(string) error
}

func number(name string, v *int) field {
	return field{name, func() string { return strconv.Itoa(*v) }, func(s string) (err error) {
		*v, err = strconv.Atoi(s)
		return err
	}}
}

func duration(name string, v *time.Duration) field {
	return field{name, func() string { return v.String() }, func(s string) (err error) {
		*v, err = time.ParseDuration(s)
		return err
	}}
}

func boolean(name string, v *bool) field {
	return field{name, func() string { return strconv.FormatBool(*v) }, func(s string) (err error) {
		*v, err = strconv.ParseBool(s)
		return err
	}}
}

func rule(name string, v *health.Rule) field {
	return field{name, func() string { return v.String() }, func(s string) (err error) {
		*v, err = health.ParseRule(s)
		return err
	}}
}

func policyFields(p *health.MeshPolicy) []field {
	return []field{
		duration("hold", &p.RecoverHold), number("polls", &p.RecoverAfter), duration("unreachable", &p.UnreachableAfter),
		duration("grace", &p.StartupGrace), duration("deregister", &p.DeregisterAfter), duration("amnesty", &p.Amnesty),
		number("min", &p.MinAvailable), number("guardmin", &p.GuardMin), duration("guardmax", &p.GuardMax),
		duration("halflife", &p.FlapHalfLife), duration("flapmax", &p.FlapMax),
		rule("meshrule", &p.MeshRule), number("meshmin", &p.MeshMinAvailable),
	}
}

// Parse reads a script in the text form of [Script.String]. Lines that begin with # are
// comments. The error names the line.
func Parse(text string) (*Script, error) {
	s := &Script{}
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if err := s.line(strings.Fields(line)); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return s, nil
}

func (s *Script) line(words []string) error {
	switch {
	case words[0] == "setup":
		return assign(words[1:], append(policyFields(&s.Policy), number("log", &s.LogBytes), duration("start", &s.Start),
			field{name: "seed", set: func(v string) (err error) { s.Seed, err = strconv.ParseUint(v, 10, 64); return err }}))
	case len(words) < 2:
		return fmt.Errorf("%q: is alone; allowed: TIME OP NAME, or service NAME", words[0])
	case words[0] == "service":
		s.Services = append(s.Services, Service{Name: words[1]})
		return s.Services[len(s.Services)-1].read(words[2:])
	case len(words) < 3:
		return fmt.Errorf("%q: has no name; allowed: TIME OP NAME, with - for no name", words[1])
	}
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return err
	}
	s.Steps = append(s.Steps, Step{At: at, Op: Op(words[1]), Who: strings.TrimPrefix(words[2], "-")})
	step := &s.Steps[len(s.Steps)-1]
	return assign(words[3:], []field{
		duration("for", &step.For), number("n", &step.N),
		{name: "status", set: func(v string) error { return step.Status.UnmarshalText([]byte(v)) }},
	})
}

func (v *Service) read(words []string) error {
	var source int
	err := assign(words, []field{
		number("instances", &v.Instances), number("zones", &v.Zones), number("source", &source), boolean("static", &v.Static),
		number("min", &v.Policy.MinAvailable), boolean("optional", &v.Policy.Optional), boolean("critical", &v.Policy.Critical),
		rule("rule", &v.Policy.Rule),
	})
	v.Source = health.Source(source)
	return err
}

// assign sets fields of a script. Each of the words has the form name=value and sets the field
// with this name.
func assign(words []string, fields []field) error {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		known := false
		for _, f := range fields {
			if f.name == name {
				known = true
				if err := f.set(value); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		if !known {
			return fmt.Errorf("%s: no such setting", name)
		}
	}
	return nil
}
