package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// TestTranscripts explains names of real meshes. Every cause, every state of every layer and every
// kind of change must occur.
func TestTranscripts(t *testing.T) {
	seen := &seen{}
	transcript.Run(t, "testdata/*.txt", func() func(*transcript.Line) string {
		s := &script{seen: seen, leases: map[health.ID]uint64{}}
		s.mesh = mesh.New(health.MeshPolicy{FlapHalfLife: -1, GuardMin: -1, Amnesty: -1}, 7, transcript.T0)
		return s.run
	})
	if !t.Failed() {
		seen.check(t)
	}
}

// seen has what the transcripts have shown.
type seen struct {
	causes   [health.NumCauses]bool
	reported [mesh.NumReportedStates]bool
	reach    [mesh.NumReachStates]bool
	guard    [mesh.NumGuardStates]bool
	damping  [mesh.NumDampingStates]bool
	override [2]bool
	trigger  [mesh.NumTriggers]bool
	edge     [EdgeMember + 1]bool
	fault    map[mesh.EventKind]bool
}

func (s *seen) note(v *mesh.Inspection, e *Explanation) {
	s.causes[v.State.Cause] = true
	for _, p := range v.Next {
		s.trigger[p.Trigger], s.trigger[p.MemberTrigger] = true, true
	}
	for i := range e.Chain {
		s.edge[e.Chain[i].Edge] = true
	}
	if in := v.Instance; in != nil {
		s.reported[in.Reported.State], s.reach[in.Reach.State], s.guard[in.Guard.State], s.damping[in.Damping.State] = true, true, true, true
		s.override[map[bool]int{true: 1}[in.Override.Forced != nil]] = true
		if s.fault == nil {
			s.fault = map[mesh.EventKind]bool{}
		}
		s.fault[in.Reach.Fault.Kind] = true
	}
}

func (s *seen) check(t *testing.T) {
	t.Helper()
	s.causes[health.CauseNone] = true
	s.trigger[mesh.TriggerNone] = true
	for what, all := range map[string][]bool{
		"cause": s.causes[:], "state of reported": s.reported[:], "state of reach": s.reach[:], "state of guard": s.guard[:],
		"state of damping": s.damping[:], "state of override": s.override[:], "trigger": s.trigger[:], "edge": s.edge[:],
	} {
		for i, ok := range all {
			if !ok {
				t.Errorf("no transcript shows %s %d", what, i)
			}
		}
	}
	for kind := range faultWords {
		if !s.fault[kind] {
			t.Errorf("no transcript shows the fault %d", kind)
		}
	}
}

// script is the mesh of one transcript.
type script struct {
	seen     *seen
	mesh     *mesh.Mesh
	services map[string]health.ServicePolicy
	now      time.Duration
	leases   map[health.ID]uint64
}

func (s *script) run(l *transcript.Line) string {
	s.now = l.Age("at", s.now)
	now := transcript.At(s.now)
	switch l.Verb {
	case "policy":
		s.mesh = mesh.New(s.policy(l), 7, now)
	case "until":
		s.until()
	case "forgive":
		s.mesh.Forgive(l.Age("late", 0))
	case "override":
		s.mesh.Apply(nil, now, s.override(l))
	case "explain":
		return s.explain(health.ParseID(l.Word()), l)
	default:
		s.mesh.Apply(nil, now, s.event(l))
	}
	return ""
}

// until handles all deadlines up to the present time.
func (s *script) until() {
	for {
		next, ok := s.mesh.Deadline()
		if !ok || next.After(transcript.At(s.now)) {
			return
		}
		s.mesh.Tick(nil, next)
	}
}

func (s *script) policy(l *transcript.Line) health.MeshPolicy {
	p := health.MeshPolicy{
		Amnesty: l.Age("amnesty", -1), FlapHalfLife: l.Age("half-life", -1), GuardMax: l.Age("guard-max", 0),
		StartupGrace: l.Age("startup-grace", 0), UnreachableAfter: l.Age("unreachable-after", 0), GuardMin: -1,
	}
	if v, ok := l.Opt("guard-min"); ok {
		p.GuardMin, _ = strconv.Atoi(v)
	}
	s.services = map[string]health.ServicePolicy{}
	edit := func(option string, change func(p *health.ServicePolicy, value string)) {
		for pair := range strings.SplitSeq(l.Text(option), ",") {
			if name, value, _ := strings.Cut(pair, ">"); name != "" {
				of := s.services[name]
				change(&of, value)
				s.services[name] = of
			}
		}
	}
	edit("depends", func(p *health.ServicePolicy, on string) { p.DependsOn = append(p.DependsOn, on) })
	edit("soft", func(p *health.ServicePolicy, on string) { p.SoftDependsOn = append(p.SoftDependsOn, on) })
	edit("critical", func(p *health.ServicePolicy, _ string) { p.Critical = true })
	edit("rule", func(p *health.ServicePolicy, rule string) { p.Rule, _ = health.ParseRule(rule) })
	p.Services = s.services
	if err := p.Validate(); err != nil {
		panic(err)
	}
	return p
}

var kinds = map[string]mesh.EventKind{
	"register": mesh.EventRegister, "load": mesh.EventLoad, "deregister": mesh.EventDeregister, "report": mesh.EventReport,
	"alive": mesh.EventAlive, "renew": mesh.EventRenew, "refused": mesh.EventRefused, "path": mesh.EventPath,
	"config": mesh.EventConfig, "pushed": mesh.EventPushed, "not-asked": mesh.EventNotAsked, "own-fault": mesh.EventOwnFault,
	"failed": mesh.EventFailed, "malformed": mesh.EventMalformed, "quota": mesh.EventQuota, "stranger": mesh.EventStranger,
}

func (s *script) event(l *transcript.Line) *mesh.Event {
	ev := &mesh.Event{ID: health.ParseID(l.Word()), Kind: kinds[l.Verb], Reason: l.Text("reason"), Late: l.Age("late", 0), On: true}
	if ev.Kind == 0 {
		panic("no such command")
	}
	if c, ok := l.Opt("cause"); ok {
		ev.Cause, _ = health.ParseCause(c)
	}
	ev.Proven = !l.Has("unproven")
	switch ev.Kind {
	case mesh.EventRegister, mesh.EventLoad:
		s.leases[ev.ID]++
		ev.Spec = &health.Spec{
			Address: "10.0.0.1:9000", Lease: s.leases[ev.ID], Static: l.Has("static"), TTL: l.Age("ttl", 30*time.Second), RegisteredAt: transcript.At(s.now),
		}
		ev.Spec.Zone, _ = l.Opt("zone")
		if ev.Spec.Static {
			ev.Spec.TTL = 0
		}
		if ev.Kind == mesh.EventLoad {
			ev.Loaded = &mesh.Loaded{Trusted: l.Has("trusted"), Proven: true, Status: status(l.Word()), Since: transcript.T0.Add(-time.Hour)}
		}
	case mesh.EventReport:
		ev.Report = report(l, ev)
	case mesh.EventFailed:
		ev.Report.Source = source(l)
	}
	ev.Lease = s.leases[ev.ID]
	return ev
}

func source(l *transcript.Line) health.Source {
	sources := map[string]health.Source{"": health.SourceMeshhealth, "push": health.SourcePush, "watch": health.SourceWatch, "poll": health.SourcePoll}
	from, _ := l.Opt("from")
	return sources[from]
}

func report(l *transcript.Line, ev *mesh.Event) mesh.Report {
	r := mesh.Report{Source: source(l), Status: status(l.Word()), Cause: ev.Cause, Reason: ev.Reason}
	for name := range strings.SplitSeq(l.Text("checks"), ",") {
		if name == "" {
			continue
		}
		c := health.CheckState{Name: name, Status: health.Serving, LastRun: transcript.At(l.Age("ran", 0))}
		if bad, ok := strings.CutPrefix(name, "!"); ok {
			c.Name, c.Status, c.Cause, c.Reason, c.Fails = bad, r.Status, r.Cause, "no answer", 3
		}
		r.Checks = append(r.Checks, c)
	}
	return r
}

func status(name string) health.Status {
	s, ok := health.ParseStatus(name)
	if !ok {
		panic("no such status: " + name)
	}
	return s
}

func (s *script) override(l *transcript.Line) *mesh.Event {
	ev := &mesh.Event{Kind: mesh.EventOverride}
	scope, ok := l.Opt("scope")
	if !ok {
		scope = l.Word()
	}
	var err error
	if ev.Scope, err = health.ParseScope(scope); err != nil {
		panic(err)
	}
	if v, ok := l.Opt("to"); ok {
		ev.Override = &health.Override{Status: status(v), Author: "ann", Reason: "new disks", SetAt: transcript.At(s.now)}
		if ttl := l.Age("for", 0); ttl != 0 {
			ev.Override.ExpiresAt = transcript.At(s.now + ttl)
		}
	}
	return ev
}

func (s *script) explain(id health.ID, l *transcript.Line) string {
	hidden := strings.Split(l.Text("hidden"), ",")
	v, e, ok := s.explained(id, func(id health.ID) bool {
		return !slices.Contains(hidden, id.Service) && !slices.Contains(hidden, id.String())
	})
	if !ok {
		return "unknown\n"
	}
	s.seen.note(&v, &e)
	return print(&v.State, &e)
}

// explained explains a name as the API does, for a caller that may see only some names.
func (s *script) explained(id health.ID, may func(health.ID) bool) (v mesh.Inspection, e Explanation, ok bool) {
	now := transcript.At(s.now)
	var members []health.State
	var ids []health.ID
	for _, m := range s.mesh.Snapshot(nil) {
		if isMember(id, &m) && may(m.ID) {
			members, ids = append(members, m), append(ids, m.ID)
		}
	}
	slices.SortFunc(ids, health.ID.Compare)
	if v, ok = s.mesh.Inspect(id, now, ids); !ok {
		return v, e, false
	}
	e = Explain(&v.State, &Input{
		Now: now, Members: members, May: may, Inspection: &v,
		Policy: func(service string) health.ServicePolicy { return s.services[service] },
		Find: func(id health.ID) (health.State, bool) {
			found, ok := s.mesh.State(id)
			return found, ok && may(id)
		},
		Worst: func(service string) (worst health.State, ok bool) {
			for _, m := range s.mesh.Snapshot(nil) {
				if m.Spec != nil && m.ID.Service == service && may(m.ID) && (!ok || Worse(&m, &worst) < 0) {
					worst, ok = m, true
				}
			}
			return worst, ok
		},
	})
	return v, e, true
}

func isMember(of health.ID, s *health.State) bool {
	zone, inZone := of.Zone()
	_, isZone := s.ID.Zone()
	switch {
	case !of.Aggregate() || s.ID == of:
		return false
	case of.Service == health.MeshName && inZone:
		return s.ID == health.ZoneID(s.ID.Service, zone)
	case of.Service == health.MeshName:
		return s.Counts != nil && !isZone && s.ID.Service != health.MeshName
	case inZone:
		return s.Spec != nil && s.ID.Service == of.Service && s.Spec.Zone == zone
	}
	return s.Spec != nil && s.ID.Service == of.Service
}

// print prints an explanation, one fact on each line.
func print(s *health.State, e *Explanation) string {
	var b strings.Builder
	for _, sentence := range e.Sentences {
		fmt.Fprintln(&b, sentence)
	}
	ago := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return transcript.Ago(t)
	}
	for _, l := range e.Layers {
		fmt.Fprintf(&b, "layer %s: %s -> %s %s%s since %s: %s\n", l.Name, l.In, l.Out, l.Cause, mark(l.Unconfirmed, " unconfirmed"), ago(l.Since), l.Detail)
	}
	for _, x := range e.Evidence {
		fmt.Fprintf(&b, "evidence %s: %s %s at %s count %d: %s\n", x.Source, x.Status, x.Cause, ago(x.At), x.Count, x.Text)
	}
	for _, c := range e.Chain {
		fmt.Fprintf(&b, "chain %s: %s %s since %s %s: %s\n", c.ID, c.Status, c.Cause, ago(c.Since), [...]string{"root", "hard", "soft", "member"}[c.Edge], c.Reason)
	}
	for _, c := range e.Next {
		fmt.Fprintf(&b, "next %s %s%s%s at %s if %q unless %q\n", c.To, c.Cause, mark(c.Unconfirmed, " unconfirmed"), mark(c.Removed, " removed"), ago(c.At), c.If, c.Unless)
	}
	return b.String()
}

func mark(on bool, text string) string {
	if on {
		return text
	}
	return ""
}
