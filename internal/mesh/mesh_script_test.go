package mesh

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

func TestMeshTranscripts(t *testing.T) {
	transcript.Run(t, "testdata/mesh_*.txt", func() func(*transcript.Line) string {
		s := &meshScript{mesh: New(health.MeshPolicy{FlapHalfLife: -1}, 7, transcript.T0), leases: map[health.ID]uint64{}}
		return s.run
	})
}

// meshScript is the mesh of one transcript.
type meshScript struct {
	mesh     *Mesh
	services map[string]health.ServicePolicy
	now      time.Duration
	leases   map[health.ID]uint64 // the last lease of each instance
}

func (s *meshScript) run(l *transcript.Line) string {
	s.now = l.Age("at", s.now)
	switch l.Verb {
	case "policy":
		p := s.policy(l)
		p.Services = s.services
		s.mesh = New(p, 7, transcript.At(s.now))
		return ""
	case "tick":
		return printChanges(s.mesh.Tick(nil, transcript.At(s.now)), l)
	case "until":
		return s.until(l)
	case "forgive":
		s.mesh.Forgive(l.Age("late", 0))
		return ""
	case "state":
		return s.state(l)
	case "self":
		return printChanges(s.mesh.PublishSelf(nil, health.Serving, health.CauseOK, ""), l)
	case "score":
		s.mesh.Tick(nil, transcript.At(s.now))
		return fmt.Sprintln(s.mesh.Score())
	case "guards":
		return s.guards()
	case "routes":
		return s.routes(l.Word())
	case "override":
		return printChanges(s.override(l), l)
	case "retune":
		s.policy(l)
		return printChanges(s.mesh.Retune(nil, transcript.At(s.now), s.services), l)
	case "overrides":
		return s.overrides()
	}
	ev := s.event(l)
	return printChanges(s.mesh.Apply(nil, transcript.At(s.now), ev), l)
}

// policy reads a policy. It also sets s.services.
func (s *meshScript) policy(l *transcript.Line) health.MeshPolicy {
	p := health.MeshPolicy{
		RecoverHold: l.Age("recover-hold", 0), UnreachableAfter: l.Age("unreachable-after", 0),
		StartupGrace: l.Age("startup-grace", 0), DeregisterAfter: l.Age("deregister-after", 0), Amnesty: l.Age("amnesty", 0),
	}
	p.GuardMax, p.FlapHalfLife, p.FlapMax = l.Age("guard-max", 0), l.Age("half-life", -1), l.Age("flap-max", 0)
	least, _ := l.Opt("guard-min")
	p.GuardMin, _ = strconv.Atoi(least)
	available, _ := l.Opt("min-available")
	p.MinAvailable, _ = strconv.Atoi(available)
	s.services = map[string]health.ServicePolicy{}
	for _, opt := range []string{"worst", "any", "at-least-2", "optional"} {
		if name, ok := l.Opt(opt); ok {
			rule, _ := health.ParseRule(opt)
			s.services[name] = health.ServicePolicy{Rule: rule, Optional: opt == "optional"}
		}
	}
	for pair := range strings.SplitSeq(l.Text("depends"), ",") {
		if name, on, ok := strings.Cut(pair, ">"); ok {
			of := s.services[name]
			of.DependsOn = append(of.DependsOn, on)
			s.services[name] = of
		}
	}
	for pair := range strings.SplitSeq(l.Text("uses"), ",") {
		if name, on, ok := strings.Cut(pair, ">"); ok {
			of := s.services[name]
			of.SoftDependsOn = append(of.SoftDependsOn, on)
			s.services[name] = of
		}
	}
	if p.Services = s.services; p.Validate() != nil {
		panic(p.Validate())
	}
	return p
}

// until calls Tick at each Deadline, as the owner does.
func (s *meshScript) until(l *transcript.Line) string {
	end := s.now
	s.now = 0
	out := ""
	for {
		next, ok := s.mesh.Deadline()
		if !ok || next.After(transcript.At(end)) {
			s.now = end
			return out
		}
		s.now = next.Sub(transcript.T0)
		if changes := s.mesh.Tick(nil, next); len(changes) > 0 {
			out += fmt.Sprintf("at %s\n", s.now) + printChanges(changes, &transcript.Line{})
		}
	}
}

func (s *meshScript) state(l *transcript.Line) string {
	st, ok := s.mesh.State(health.ParseID(l.Word()))
	if !ok {
		return "none\n"
	}
	return printState(&st) + "\n"
}

func (s *meshScript) guards() string {
	out := ""
	for _, g := range s.mesh.Guards() {
		out += fmt.Sprintf("zone=%q %d of %d since=%s expired=%v\n", g.Zone, g.Suspect, g.Known, transcript.Ago(g.Since), g.Expired)
	}
	return out
}

// routes prints the routes of the instances of a service.
func (s *meshScript) routes(service string) string {
	var lines []string
	for _, st := range s.mesh.Snapshot(nil) {
		if st.ID.Service != service || st.Spec == nil {
			continue
		}
		line := fmt.Sprintf("%s %s", st.ID, st.Route)
		if st.RouteKept {
			line += " kept"
		}
		if st.Endpoint.IsValid() {
			line += " " + st.Endpoint.String()
		}
		if st.Proof != health.ProofNotRequired {
			line += " proof=" + st.Proof.String()
		}
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	r := &s.mesh.aggregates.services[service].routing
	return strings.Join(lines, "") + fmt.Sprintf("%d of %d\n", r.routable, r.counted)
}

func (s *meshScript) event(l *transcript.Line) *Event {
	ev := &Event{ID: health.ParseID(l.Word())}
	ev.Lease = s.leases[ev.ID]
	if v, ok := l.Opt("lease"); ok {
		n, _ := strconv.Atoi(v)
		ev.Lease = uint64(n)
	}
	ev.Reason = l.Text("reason")
	if c, ok := l.Opt("cause"); ok {
		ev.Cause, _ = health.ParseCause(c)
	}
	kinds := map[string]EventKind{
		"register": EventRegister, "load": EventLoad, "deregister": EventDeregister, "report": EventReport,
		"alive": EventAlive, "renew": EventRenew, "refused": EventRefused, "path": EventPath,
		"config": EventConfig, "pushed": EventPushed, "not-asked": EventNotAsked, "own-fault": EventOwnFault,
		"failed": EventFailed, "malformed": EventMalformed, "quota": EventQuota, "stranger": EventStranger,
		"connected": EventConnected,
	}
	ev.Kind = kinds[l.Verb]
	ev.Proven, ev.Late = !l.Has("unproven"), l.Age("late", 0)
	if v, ok := l.Opt("session"); ok {
		n, _ := strconv.Atoi(v)
		ev.Session, ev.Proven = uint64(n), false
	}
	switch ev.Kind {
	case EventRegister, EventLoad:
		s.leases[ev.ID] = ev.Lease
		ev.Spec, ev.Loaded = s.spec(l, ev.Lease), s.loaded(l)
	case EventReport:
		ev.Report = s.report(l, ev)
	case EventConnected:
		ev.Peer, ev.Spec = netip.MustParseAddr(l.Text("peer")), s.mesh.instances[ev.ID].spec
		if v, ok := l.Opt("address"); ok {
			ev.Spec = &health.Spec{Address: v}
		}
		ev.Proof = proofOpt(l)
	case EventPushed:
		ev.On = !l.Has("off")
		if v, ok := l.Opt("peer"); ok {
			ev.Peer = netip.MustParseAddr(v)
		}
	case 0:
		panic("no such command")
	}
	return ev
}

func (s *meshScript) spec(l *transcript.Line, lease uint64) *health.Spec {
	spec := &health.Spec{Address: addressOf(lease), Lease: lease, Static: l.Has("static"), TTL: l.Age("ttl", 30*time.Second), RegisteredAt: transcript.T0}
	spec.Zone, _ = l.Opt("zone")
	if v, ok := l.Opt("address"); ok {
		spec.Address = v
	}
	spec.Traffic.Address, _ = l.Opt("traffic")
	spec.Registrant, _ = l.Opt("by")
	spec.Proof = proofOpt(l)
	if v, ok := l.Opt("registered"); ok {
		age, _ := time.ParseDuration(v)
		spec.RegisteredAt = transcript.At(age)
	}
	if name, ok := l.Opt("rule"); ok {
		rule, _ := health.ParseRule(name)
		spec.Judge = &health.ServicePolicy{Rule: rule}
		spec.RegisteredAt = transcript.At(s.now)
	}
	if v, ok := l.Opt("label"); ok {
		spec.Labels = map[string]string{"label": v}
	}
	if spec.Static {
		spec.TTL = 0
	}
	return spec
}

func proofOpt(l *transcript.Line) health.EndpointProof {
	name, ok := l.Opt("proof")
	if !ok {
		return health.ProofNotRequired
	}
	p, err := health.ParseEndpointProof(name)
	if err != nil {
		panic(err)
	}
	return p
}

// addressOf returns the address of a registration. It is different for each lease.
func addressOf(lease uint64) string { return fmt.Sprintf("10.0.0.%d:1", lease) }

func (s *meshScript) loaded(l *transcript.Line) *Loaded {
	if l.Verb != "load" {
		return nil
	}
	ld := &Loaded{Trusted: l.Has("trusted"), Proven: l.Has("proven"), Unheard: l.Has("unheard"), Since: transcript.At(l.Age("since", 0)), Cause: health.CauseOK}
	ld.Status = parseStatus(l.Word())
	if ld.Status != health.Serving {
		ld.Cause = ld.Status.Cause()
	}
	if c, ok := l.Opt("cause"); ok {
		ld.Cause, _ = health.ParseCause(c)
	}
	if name, ok := l.Opt("route"); ok {
		ld.Route, _ = health.ParseRoute(name)
	}
	if v, ok := l.Opt("endpoint"); ok {
		ld.Endpoint = netip.MustParseAddrPort(v)
	}
	if v, ok := l.Opt("shown"); ok {
		ld.Proof, _ = health.ParseEndpointProof(v)
	}
	return ld
}

func (s *meshScript) report(l *transcript.Line, ev *Event) Report {
	sources := map[string]health.Source{"": health.SourceMeshhealth, "push": health.SourcePush, "watch": health.SourceWatch, "poll": health.SourcePoll}
	from, _ := l.Opt("from")
	r := Report{Named: l.Has("named"), Source: sources[from], Status: parseStatus(l.Word()), Cause: ev.Cause, Reason: ev.Reason}
	if age := l.Age("first-failure", -1); age >= 0 {
		r.FirstFailure = transcript.At(age)
	}
	if name, ok := l.Opt("check"); ok {
		r.Checks = []health.CheckState{{Name: name, Status: r.Status, Runs: uint64(l.Age("runs", 0))}}
	}
	return r
}

// override reads the scope from the option scope, or from a name.
func (s *meshScript) override(l *transcript.Line) []health.Change {
	text, ok := l.Opt("scope")
	if !ok {
		text = l.Word()
	}
	ev := &Event{Kind: EventOverride}
	var err error
	if ev.Scope, err = health.ParseScope(text); err != nil {
		panic(err)
	}
	if v, ok := l.Opt("to"); ok {
		ev.Override = &health.Override{Status: parseStatus(v), Author: "ann", SetAt: transcript.At(s.now)}
		if ttl := l.Age("for", 0); ttl != 0 {
			ev.Override.ExpiresAt = transcript.At(s.now + ttl)
		}
	}
	return s.mesh.Apply(nil, transcript.At(s.now), ev)
}

func (s *meshScript) overrides() string {
	out := ""
	for _, f := range s.mesh.Overrides() {
		out += fmt.Sprintf("%s %s of %d since=%s\n", f.Scope, f.Status, f.Instances, transcript.Ago(f.SetAt))
	}
	for _, o := range s.mesh.TakeEndedOverrides() {
		out += fmt.Sprintf("%s %s ended\n", o.Scope, o.Status)
	}
	return out
}

func parseStatus(name string) health.Status {
	st, ok := health.ParseStatus(name)
	if !ok {
		panic("no such status: " + name)
	}
	return st
}

// printChanges prints changes. Those of the mesh are printed only if the line has the word
// mesh.
func printChanges(changes []health.Change, l *transcript.Line) string {
	withMesh, quiet := l.Has("mesh"), l.Has("quiet")
	var b strings.Builder
	for i := range changes {
		c := &changes[i]
		if c.ID.Service == health.MeshName && !withMesh || quiet {
			continue
		}
		if c.From != c.Status {
			fmt.Fprintf(&b, "%s ->\n    ", c.From)
		}
		b.WriteString(printState(&c.State) + "\n")
	}
	return b.String()
}

func printState(s *health.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s since=%s", s.ID, s.Status, s.Cause, transcript.Ago(s.Since))
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
		fmt.Fprintf(&b, " first-failure=%s", transcript.Ago(s.FirstFailure))
	}
	if s.Root != "" {
		fmt.Fprintf(&b, " root=%s", s.Root)
	}
	if s.Affected != 0 {
		fmt.Fprintf(&b, " affected=%d", s.Affected)
	}
	for i, d := range s.Dependencies {
		b.WriteString([]string{" needs=", ","}[min(i, 1)] + d.Service)
		if d.Soft {
			b.WriteString("?")
		}
	}
	for _, f := range []struct {
		name string
		on   bool
	}{{"unconfirmed", s.Unconfirmed}, {"unreachable", s.Unreachable}, {"stranger", s.Stranger}, {"named", s.Named}, {"pushed", s.Pushed}, {"REMOVED", s.Removed}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	if !s.NextAt.IsZero() {
		fmt.Fprintf(&b, " next=%s:%s", transcript.Ago(s.NextAt), s.NextCause)
	}
	return b.String()
}

func TestSnapshotAndState(t *testing.T) {
	m := New(health.MeshPolicy{}, 7, transcript.T0)
	changes := m.Apply(nil, transcript.T0, &Event{Kind: EventRegister, ID: health.ID{Service: "a", Instance: "1"}, Lease: 1, Spec: &health.Spec{Lease: 1, TTL: time.Minute}})
	changes = m.PublishSelf(changes, health.Serving, health.CauseOK, "")
	if again := m.PublishSelf(nil, health.Serving, health.CauseOK, ""); len(again) != 0 {
		t.Errorf("PublishSelf without a change returns %v", again)
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
	if last.ID != (health.ID{}) || last.Epoch != 7 || last.Revision != m.Revision() || !last.Transition() {
		t.Errorf("PublishSelf returns %+v", last)
	}
	if _, ok := m.State(health.ID{Service: "b", Instance: ""}); ok {
		t.Error("there is a service b")
	}
	if !slices.ContainsFunc(states, func(s health.State) bool { return s.ID.Service == health.MeshName }) {
		t.Error("the mesh is missing")
	}
}
