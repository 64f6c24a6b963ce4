package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// guardScript plays bytes to a mesh of twelve instances in three zones, and checks all
// guards after each step.
type guardScript struct {
	mesh  *Mesh
	now   time.Time
	freed time.Time // since when no guard is tripped
}

func newGuardScript(b byte) *guardScript {
	return &guardScript{now: transcript.T0, freed: transcript.T0, mesh: New(health.MeshPolicy{
		GuardMin: 1 + int(b%5), GuardMax: 20 * time.Second, UnreachableAfter: 3 * time.Second,
		DeregisterAfter: 6 * time.Second, RecoverHold: -1, FlapHalfLife: -1, Amnesty: 4 * time.Second,
	}, 7, transcript.T0)}
}

func guardID(b byte) (health.ID, string) {
	n := int(b % 12)
	return health.ID{Service: string(rune('a' + n%4)), Instance: fmt.Sprint(n)}, []string{"", "x", "y"}[n%3]
}

func (g *guardScript) event(who, what byte) *Event {
	id, zone := guardID(who)
	ev := &Event{ID: id, Lease: uint64(1 + what/16%2)}
	kinds := []EventKind{
		EventRegister, EventReport, EventReport, EventReport, EventPath, EventPath, EventPath, EventPath,
		EventRenew, EventAlive, EventRefused, EventRefused, EventConfig, EventDeregister, EventLoad, EventReport,
	}
	ev.Kind = kinds[what%16]
	switch ev.Kind {
	case EventRegister, EventLoad:
		if what/32%2 == 1 {
			zone = "x" // the instance has moved
		}
		ev.Spec = &health.Spec{Lease: ev.Lease, Zone: zone, Static: who/12%2 == 0, TTL: 5 * time.Second}
		ev.Loaded = &Loaded{Status: health.Serving, Trusted: what/64%2 == 0, Proven: true, Since: transcript.T0}
	case EventAlive:
		ev.Proven = true
	case EventReport:
		ev.Proven = true
		ev.Report = Report{Source: health.SourceMeshhealth + health.Source(who/24%4), Status: []health.Status{health.Serving, health.Serving, health.Serving, health.NotServing, health.Draining}[what/16%5]}
	case EventConfig:
		ev.Cause = health.CauseTLS
	}
	return ev
}

// step makes one call. It checks that no status was lowered under a guard that was tripped
// before and after the call.
func (g *guardScript) step(call func() []health.Change) error {
	g.tripped()
	before := map[string]bool{}
	for _, t := range g.mesh.Guards() {
		before[t.Zone] = true
	}
	for _, c := range call() {
		lowered := c.From.Routable() && (c.Cause == health.CauseUnreachable || c.Cause == health.CauseLeaseExpired)
		if c.Spec == nil || c.Removed || !lowered {
			continue
		}
		if z := c.Spec.Zone; g.mesh.guards.covering(z) != nil && (before[""] || z != "" && before[z]) {
			return fmt.Errorf("%s was lowered under a guard: %+v", c.ID, c)
		}
	}
	return g.look()
}

func (g *guardScript) tripped() {
	if len(g.mesh.guards.tripped) > 0 {
		g.freed = g.now
	}
}

// look compares the guards with counts of all instances.
func (g *guardScript) look() error {
	known, suspect := map[string]int{}, map[string]int{}
	g.tripped()
	for id, in := range g.mesh.instances {
		s := &in.state
		given := !in.guard.held && in.reach.state.lostBySilence()
		if in.guard.held && (!in.reach.state.lostBySilence() || !in.report.leaving() && !s.Unconfirmed) {
			return fmt.Errorf("%s is held: %+v", id, s)
		}
		if in.guard.held && !in.report.leaving() && g.now.Sub(g.freed) > g.mesh.policy.UnreachableAfter {
			return fmt.Errorf("%s is held, and no guard is tripped since %v", id, g.now.Sub(g.freed))
		}
		if !in.report.confirmed || in.report.leaving() || given {
			continue
		}
		for _, zone := range zonesOf(in.spec.Zone) {
			known[zone]++
			if in.guard.held || in.reach.state.silent() {
				suspect[zone]++
			}
		}
	}
	for _, zone := range []string{"", "x", "y"} {
		if err := g.compare(zone, known[zone], suspect[zone]); err != nil {
			return err
		}
	}
	return nil
}

func zonesOf(zone string) []string {
	if zone == "" {
		return []string{""}
	}
	return []string{"", zone}
}

func (g *guardScript) compare(zone string, known, suspect int) error {
	have := g.mesh.guards.zones[zone]
	switch {
	case zone == "":
		have = &g.mesh.guards.mesh
	case have == nil && known == 0:
		return nil
	case have == nil:
		return fmt.Errorf("zone %s knows %d, and has no guard", zone, known)
	}
	must := suspect*2 >= known && known >= g.mesh.policy.GuardMin
	mustNot := suspect*3 < known || suspect == 0
	if have.known != known || have.suspect != suspect || must && !have.tripped || mustNot && have.tripped {
		return fmt.Errorf("guard %+v, there are %d of %d", *have, suspect, known)
	}
	return nil
}

func checkGuards(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	g := newGuardScript(data[0])
	for data = data[1:]; len(data) >= 3; data = data[3:] {
		until := g.now.Add(time.Duration(data[0]%8) * halfSecond)
		for {
			next, ok := g.mesh.Deadline()
			if !ok || next.After(until) {
				break
			}
			g.now = next
			if err := g.step(func() []health.Change { return g.mesh.Tick(nil, next) }); err != nil {
				return fmt.Errorf("tick at %v: %w", g.now.Sub(transcript.T0), err)
			}
		}
		g.now = until
		if data[1] == 255 {
			g.mesh.Forgive(time.Second)
			g.freed = g.freed.Add(time.Second)
			continue
		}
		ev := g.event(data[1], data[2])
		if err := g.step(func() []health.Change { return g.mesh.Apply(nil, g.now, ev) }); err != nil {
			return fmt.Errorf("%+v at %v: %w", ev, g.now.Sub(transcript.T0), err)
		}
	}
	return nil
}

func FuzzGuards(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1, 0, 0, 4, 31, 0, 0, 7, 0, 0})
	transcript.Fuzz(f, 900, checkGuards)
}

func TestGuardsAgainstOracle(t *testing.T) {
	transcript.Inputs(t, 7, 3000, 1, 361, checkGuards)
}
