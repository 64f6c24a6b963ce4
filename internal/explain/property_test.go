package explain

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/meshhealth/meshhealth/internal/transcript"
)

// randomWorld returns a mesh with random dependencies, evidence and overrides.
func randomWorld(seed uint64) *script {
	r := rand.New(rand.NewPCG(seed, 3))
	s := &script{services: map[string]health.ServicePolicy{}, leases: map[health.ID]uint64{}}
	name := func(i int) string { return fmt.Sprintf("service-%d", i) }
	n := 2 + r.IntN(30)
	for i := range n {
		var p health.ServicePolicy
		for range r.IntN(3) {
			if on := i + 1 + r.IntN(n); on < n+2 { // a service depends on later ones, and some of these do not exist
				p.DependsOn = append(p.DependsOn, name(on))
			}
		}
		if on := i + 1 + r.IntN(n); r.IntN(2) == 0 {
			p.SoftDependsOn = append(p.SoftDependsOn, name(on))
		}
		p.Critical = r.IntN(5) == 0
		s.services[name(i)] = p
	}
	policy := health.MeshPolicy{Services: s.services, GuardMin: 2 + r.IntN(9), Amnesty: time.Duration(r.IntN(2)) * 20 * time.Second}
	s.mesh = mesh.New(policy, 7, transcript.T0)
	for i := range n {
		for k := range r.IntN(4) {
			s.apply(&mesh.Event{Kind: mesh.EventRegister, ID: health.ID{Service: name(i), Instance: fmt.Sprintf("instance-%d-%d", i, k)}, Lease: 1, Spec: &health.Spec{
				Lease: 1, Static: k == 0, TTL: 30 * time.Second, Zone: fmt.Sprintf("zone-%d", k), Address: fmt.Sprintf("10.0.%d.%d:80", i, k), RegisteredAt: transcript.T0,
			}})
		}
	}
	for range 200 {
		s.now += time.Duration(r.IntN(2000)) * time.Millisecond
		s.until()
		i := r.IntN(n)
		id := health.ID{Service: name(i), Instance: fmt.Sprintf("instance-%d-%d", i, r.IntN(4))}
		ev := &mesh.Event{ID: id, Lease: 1, Proven: true, Kind: []mesh.EventKind{
			mesh.EventReport, mesh.EventReport, mesh.EventReport, mesh.EventRefused, mesh.EventPath, mesh.EventRenew, mesh.EventConfig, mesh.EventStranger, mesh.EventNotAsked, mesh.EventOverride,
		}[r.IntN(10)]}
		ev.Report = mesh.Report{Source: health.SourceMeshhealth, Status: health.Status(r.IntN(int(health.NumStatuses)))}
		for k := range r.IntN(80) {
			ev.Report.Checks = append(ev.Report.Checks, health.CheckState{Name: fmt.Sprintf("check-%d", k), Status: health.NotServing, Cause: health.CauseFailed})
		}
		if ev.Cause = health.CauseTLS; ev.Kind == mesh.EventOverride {
			ev.Scope, ev.Override = health.ScopeOf(id), &health.Override{Status: health.Maintenance, SetAt: transcript.At(s.now), ExpiresAt: transcript.At(s.now + time.Minute)}
		}
		s.apply(ev)
	}
	return s
}

func (s *script) apply(ev *mesh.Event) { s.mesh.Apply(nil, transcript.At(s.now), ev) }

// TestNothingHidden: no text names what the caller may not see, the numbers of items are bounded,
// and what may follow is ordered by time.
func TestNothingHidden(t *testing.T) {
	chains := 0
	for seed := range uint64(25) {
		s := randomWorld(seed)
		r := rand.New(rand.NewPCG(seed, 4))
		hidden := map[string]bool{}
		for i := range 32 {
			hidden[fmt.Sprintf("service-%d", i)] = r.IntN(3) == 0
		}
		hiddenInstance := func(id health.ID) bool { return strings.HasSuffix(id.Instance, "-2") }
		may := func(id health.ID) bool { return !hidden[id.Service] && !hiddenInstance(id) }
		for _, state := range s.mesh.Snapshot(nil) {
			if !may(state.ID) {
				continue
			}
			v, e, ok := s.explained(state.ID, may)
			if !ok {
				t.Fatalf("%s is unknown", state.ID)
			}
			text := print(&v.State, &e)
			for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-", r) }) {
				if hidden[word] || strings.HasPrefix(word, "instance-") && strings.HasSuffix(word, "-2") {
					t.Fatalf("seed %d, %s names %s:\n%s", seed, state.ID, word, text)
				}
			}
			if len(e.Evidence) > maxEvidence || len(e.Chain) > maxChain || len(e.Next) > maxNext || len(e.Sentences) > maxSentences {
				t.Fatalf("seed %d, %s: %d, %d, %d, %d items", seed, state.ID, len(e.Evidence), len(e.Chain), len(e.Next), len(e.Sentences))
			}
			checkOrder(t, &e)
			if len(e.Chain) > 2 {
				chains++
			}
			if n := len(e.Chain); n > 0 && e.Chain[n-1].ID != state.ID {
				t.Fatalf("the chain of %s ends at %s", state.ID, e.Chain[n-1].ID)
			}
		}
	}
	if chains == 0 {
		t.Error("no world has a chain of three names")
	}
}

func checkOrder(t *testing.T, e *Explanation) {
	t.Helper()
	var last time.Time
	timed := true
	for _, c := range e.Next {
		if c.At.IsZero() {
			timed = false
			continue
		}
		if !timed || c.At.Before(last) {
			t.Fatalf("not ordered: %+v", e.Next)
		}
		last = c.At
	}
}

// TestLongChain: a long way from the root is cut in its middle.
func TestLongChain(t *testing.T) {
	policies := map[string]health.ServicePolicy{}
	name := func(i int) string { return fmt.Sprintf("s%d", i) }
	for i := range 40 {
		policies[name(i+1)] = health.ServicePolicy{DependsOn: []string{name(i)}}
	}
	s := health.State{ID: health.ID{Service: name(40)}, Status: health.NotServing, Root: name(0), Counts: &health.Counts{}}
	e := Explain(&s, &Input{
		Policy: func(service string) health.ServicePolicy { return policies[service] },
		Find:   func(id health.ID) (health.State, bool) { return health.State{ID: id, Status: health.NotServing}, true },
	})
	if n := len(e.Chain); n != maxChain || e.Chain[0].ID.Service != "s0" || e.Chain[n-1].ID != s.ID || e.Chain[1].Edge != EdgeNone || e.Chain[2].Edge != EdgeHard {
		t.Errorf("%d links: %+v", n, e.Chain)
	}
}
