package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMeshTranscripts(t *testing.T) {
	transcripts(t, "testdata/mesh_*.txt", func() func(*line) string {
		s := &meshScript{mesh: NewMesh(MeshPolicy{FlapHalfLife: -1}, 7, t0), leases: map[ID]uint64{}}
		return s.run
	})
}

// meshScript is one transcript's mesh.
type meshScript struct {
	mesh     *Mesh
	services map[string]ServicePolicy
	now      time.Duration
	leases   map[ID]uint64 // the last one of each name
}

func (s *meshScript) run(l *line) string {
	s.now = l.age("at", s.now)
	switch l.verb {
	case "policy":
		p := s.policy(l)
		p.Services = s.services
		s.mesh = NewMesh(p, 7, at(s.now))
		return ""
	case "tick":
		return printChanges(s.mesh.Tick(nil, at(s.now)), l)
	case "until":
		return s.until(l)
	case "forgive":
		s.mesh.Forgive(l.age("late", 0))
		return ""
	case "state":
		return s.state(l)
	case "self":
		return printChanges(s.mesh.Self(nil, Serving, CauseOK, ""), l)
	case "score":
		s.mesh.Tick(nil, at(s.now))
		return fmt.Sprintln(s.mesh.Score())
	case "guards":
		return s.guards()
	case "override":
		return printChanges(s.override(l), l)
	case "retune":
		s.policy(l)
		return printChanges(s.mesh.Retune(nil, at(s.now), s.services), l)
	case "unwell":
		return printChanges(s.mesh.Apply(nil, at(s.now), &Event{Kind: EventUnwell}), l)
	case "overrides":
		return s.overrides()
	}
	ev := s.event(l)
	return printChanges(s.mesh.Apply(nil, at(s.now), ev), l)
}

// policy reads how the mesh is to judge; s.services are how single services are.
func (s *meshScript) policy(l *line) MeshPolicy {
	p := MeshPolicy{
		RecoverHold: l.age("recover-hold", 0), UnreachableAfter: l.age("unreachable-after", 0),
		StartupGrace: l.age("startup-grace", 0), DeregisterAfter: l.age("deregister-after", 0), Amnesty: l.age("amnesty", 0),
	}
	p.GuardMax, p.FlapHalfLife, p.FlapMax = l.age("guard-max", 0), l.age("half-life", -1), l.age("flap-max", 0)
	least, _ := l.opt("guard-min")
	p.GuardMin, _ = strconv.Atoi(least)
	available, _ := l.opt("min-available")
	p.MinAvailable, _ = strconv.Atoi(available)
	s.services = map[string]ServicePolicy{}
	for _, opt := range []string{"worst", "any", "at-least-2", "optional"} {
		if name, ok := l.opt(opt); ok {
			rule, _ := ParseRule(opt)
			s.services[name] = ServicePolicy{Rule: rule, Optional: opt == "optional"}
		}
	}
	for pair := range strings.SplitSeq(l.text("depends"), ",") {
		if name, on, ok := strings.Cut(pair, ">"); ok {
			of := s.services[name]
			of.DependsOn = append(of.DependsOn, on)
			s.services[name] = of
		}
	}
	if p.Services = s.services; p.Validate() != nil {
		panic(p.Validate())
	}
	return p
}

// until does what an owner does: it sleeps to each deadline and ticks.
func (s *meshScript) until(l *line) string {
	end := s.now
	s.now = 0
	out := ""
	for {
		next, ok := s.mesh.Deadline()
		if !ok || next.After(at(end)) {
			s.now = end
			return out
		}
		s.now = next.Sub(t0)
		if changes := s.mesh.Tick(nil, next); len(changes) > 0 {
			out += fmt.Sprintf("at %s\n", s.now) + printChanges(changes, &line{})
		}
	}
}

func (s *meshScript) state(l *line) string {
	st, ok := s.mesh.State(ParseID(l.word()))
	if !ok {
		return "none\n"
	}
	return printState(&st) + "\n"
}

func (s *meshScript) guards() string {
	out := ""
	for _, g := range s.mesh.Guards() {
		out += fmt.Sprintf("zone=%q %d of %d since=%s faded=%v\n", g.Zone, g.Doubted, g.Known, ago(g.Since), g.Faded)
	}
	return out
}

func (s *meshScript) event(l *line) *Event {
	ev := &Event{ID: ParseID(l.word())}
	ev.Lease = s.leases[ev.ID]
	if v, ok := l.opt("lease"); ok {
		n, _ := strconv.Atoi(v)
		ev.Lease = uint64(n)
	}
	ev.Reason = l.text("reason")
	if c, ok := l.opt("cause"); ok {
		ev.Cause, _ = ParseCause(c)
	}
	kinds := map[string]EventKind{
		"register": EventRegister, "load": EventLoad, "deregister": EventDeregister, "report": EventReport,
		"alive": EventAlive, "renew": EventRenew, "refused": EventRefused, "path": EventPath,
		"config": EventConfig, "pushed": EventPushed, "unasked": EventUnasked,
	}
	ev.Kind = kinds[l.verb]
	switch ev.Kind {
	case EventRegister, EventLoad:
		s.leases[ev.ID] = ev.Lease
		ev.Spec, ev.Loaded = s.spec(l, ev.Lease), s.loaded(l)
	case EventReport:
		ev.Report = s.report(l, ev)
	case EventPushed:
		ev.On = !l.has("off")
	case 0:
		panic("no such command")
	}
	return ev
}

func (s *meshScript) spec(l *line, lease uint64) *Spec {
	spec := &Spec{Lease: lease, Static: l.has("static"), TTL: l.age("ttl", 30*time.Second), RegisteredAt: t0}
	spec.Zone, _ = l.opt("zone")
	if name, ok := l.opt("rule"); ok {
		rule, _ := ParseRule(name)
		spec.Judge = &ServicePolicy{Rule: rule}
		spec.RegisteredAt = at(s.now)
	}
	if v, ok := l.opt("label"); ok {
		spec.Labels = map[string]string{"label": v}
	}
	if spec.Static {
		spec.TTL = 0
	}
	return spec
}

func (s *meshScript) loaded(l *line) *Loaded {
	if l.verb != "load" {
		return nil
	}
	ld := &Loaded{Trusted: l.has("trusted"), Proven: l.has("proven"), Since: at(l.age("since", 0)), Cause: CauseOK}
	ld.Status = parseStatus(l.word())
	if ld.Status != Serving {
		ld.Cause = causeOf(ld.Status)
	}
	return ld
}

func (s *meshScript) report(l *line, ev *Event) Report {
	sources := map[string]Source{"": SourceMeshhealth, "push": SourcePush, "watch": SourceWatch, "poll": SourcePoll}
	from, _ := l.opt("from")
	r := Report{Source: sources[from], Status: parseStatus(l.word()), Cause: ev.Cause, Reason: ev.Reason}
	if age := l.age("first-failure", -1); age >= 0 {
		r.FirstFailure = at(age)
	}
	if name, ok := l.opt("check"); ok {
		r.Checks = []CheckState{{Name: name, Status: r.Status, Runs: uint64(l.age("runs", 0))}}
	}
	return r
}

// override takes what it is for from scope=, or a name.
func (s *meshScript) override(l *line) []Change {
	text, ok := l.opt("scope")
	if !ok {
		text = l.word()
	}
	ev := &Event{Kind: EventOverride}
	var err error
	if ev.Scope, err = ParseScope(text); err != nil {
		panic(err)
	}
	if v, ok := l.opt("to"); ok {
		ev.Override = &Override{Status: parseStatus(v), Author: "ann", SetAt: at(s.now)}
		if ttl := l.age("for", 0); ttl != 0 {
			ev.Override.ExpiresAt = at(s.now + ttl)
		}
	}
	return s.mesh.Apply(nil, at(s.now), ev)
}

func (s *meshScript) overrides() string {
	out := ""
	for _, f := range s.mesh.Overrides() {
		out += fmt.Sprintf("%s %s of %d since=%s\n", f.Scope, f.Status, f.Instances, ago(f.SetAt))
	}
	for _, o := range s.mesh.Ended() {
		out += fmt.Sprintf("%s %s ended\n", o.Scope, o.Status)
	}
	return out
}

func parseStatus(name string) Status {
	st, ok := ParseStatus(name)
	if !ok {
		panic("no such status: " + name)
	}
	return st
}

// printChanges prints instances, then services, then the mesh if the command
// ends with "mesh".
func printChanges(changes []Change, l *line) string {
	withMesh, quiet := l.has("mesh"), l.has("quiet")
	var b strings.Builder
	for i := range changes {
		c := &changes[i]
		if c.ID.Service == MeshName && !withMesh || quiet {
			continue
		}
		if c.From != c.Status {
			fmt.Fprintf(&b, "%s ->\n    ", c.From)
		}
		b.WriteString(printState(&c.State) + "\n")
	}
	return b.String()
}

func printState(s *State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s since=%s", s.ID, s.Status, s.Cause, ago(s.Since))
	if s.Reason != "" {
		fmt.Fprintf(&b, " %q", s.Reason)
	}
	if s.Counts != nil {
		fmt.Fprintf(&b, " counted=%d/%d", s.Counts.Counted, s.Counts.Total())
	}
	if s.Spec != nil && s.Judged != s.Status {
		fmt.Fprintf(&b, " judged=%s", s.Judged)
	}
	if !s.FirstFailure.IsZero() {
		fmt.Fprintf(&b, " first-failure=%s", ago(s.FirstFailure))
	}
	if s.Root != "" {
		fmt.Fprintf(&b, " root=%s", s.Root)
	}
	if s.Affected != 0 {
		fmt.Fprintf(&b, " affected=%d", s.Affected)
	}
	for _, f := range []struct {
		name string
		on   bool
	}{{"unconfirmed", s.Unconfirmed}, {"unreachable", s.Unreachable}, {"pushed", s.Pushed}, {"REMOVED", s.Removed}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	if !s.NextAt.IsZero() {
		fmt.Fprintf(&b, " next=%s:%s", ago(s.NextAt), s.NextCause)
	}
	return b.String()
}

func TestSnapshotAndState(t *testing.T) {
	m := NewMesh(MeshPolicy{}, 7, t0)
	changes := m.Apply(nil, t0, &Event{Kind: EventRegister, ID: ID{"a", "1"}, Lease: 1, Spec: &Spec{Lease: 1, TTL: time.Minute}})
	changes = m.Self(changes, Serving, CauseOK, "")
	if again := m.Self(nil, Serving, CauseOK, ""); len(again) != 0 {
		t.Errorf("the same Self again: %v", again)
	}
	states := m.Snapshot(nil)
	if len(states) != 3 || m.Len() != 1 || m.Epoch() != 7 {
		t.Errorf("snapshot of %d, %d instances, epoch %d", len(states), m.Len(), m.Epoch())
	}
	for _, s := range states {
		if got, ok := m.State(s.ID); !ok || got.Revision != s.Revision {
			t.Errorf("State(%s) is %v %+v", s.ID, ok, got)
		}
	}
	last := changes[len(changes)-1]
	if last.ID != (ID{}) || last.Epoch != 7 || last.Revision != m.Revision() || !last.Transition() {
		t.Errorf("Self gives %+v", last)
	}
	if _, ok := m.State(ID{"b", ""}); ok {
		t.Error("there is a service b")
	}
	if !slices.ContainsFunc(states, func(s State) bool { return s.ID.Service == MeshName }) {
		t.Error("the mesh is missing")
	}
}
