package arch

import (
	"fmt"
	"testing"
)

// The floors. A package imports only from floors below its own, so neighbours
// on a floor never import each other.
const (
	cellar  = iota - 1 // generated code
	ground             // values and functions only
	shelf              // locks, channels, context; no goroutine, timer, clock, I/O
	adapter            // each heavy dependency in one of them
	room               // the first floor with goroutines
	annex              // belongs to one room, and imports that
	wiring             // plugs the rooms together
	roof               // flags, signals, exit codes, printing
	beside             // may import every floor; only tests may import it
)

// place is one package on its floor.
type place struct {
	path  string
	floor int
	only  []string // if set, the only packages of ours it may import
	light bool     // embedded by others: no heavy dependency, not even indirectly
}

// plan lists every package of the module.
var plan = []place{
	{path: "gen/meshhealth/v1", floor: cellar},

	{path: "health", floor: ground},

	{path: "health/feed", floor: shelf, only: []string{"health"}},
	{path: "coordinator/store", floor: shelf, only: []string{"health"}},
	{path: "internal/wire", floor: shelf},

	{path: "coordinator/boltstore", floor: adapter},
	{path: "internal/grpchealth", floor: adapter},

	{path: "coordinator/registry", floor: room},
	{path: "coordinator/watch", floor: room},
	{path: "coordinator/rpc", floor: room},
	{path: "coordinator/metrics", floor: room},
	{path: "client", floor: room, light: true},
	{path: "server", floor: room, light: true},

	{path: "server/check", floor: annex, only: []string{"server", "health", "gen/meshhealth/v1"}, light: true},
	{path: "server/promhealth", floor: annex, only: []string{"server", "health"}},

	{path: "coordinator", floor: wiring},
	{path: "internal/demo", floor: wiring},
	{path: "internal/chaos", floor: wiring},

	{path: "cmd/meshhealth", floor: roof},

	{path: "internal/testmesh", floor: beside},
	{path: "internal/sim", floor: beside},
	{path: "coordinator/store/storetest", floor: beside},

	{path: "internal/arch", floor: beside},
	{path: "e2e", floor: beside},
	{path: "e2e/storefaults", floor: beside},
}

// find returns the place of a package. An unlisted package gets the ground, so
// that it is held to the strictest rules until it has its row.
func find(plan []place, pkg string) place {
	for _, p := range plan {
		if p.path == pkg {
			return p
		}
	}
	return place{path: pkg, floor: ground}
}

// planFaults compares the plan with the packages there are, both ways.
func planFaults(plan []place, sources []source) []string {
	var faults []string
	listed := map[string]bool{}
	for _, p := range plan {
		if listed[p.path] {
			faults = append(faults, p.path+": listed twice")
		}
		listed[p.path] = true
	}
	there := map[string]bool{}
	for _, s := range sources {
		if !there[s.pkg] && !listed[s.pkg] {
			faults = append(faults, fmt.Sprintf("%s: not in the plan; give it a floor in plan_test.go", s.pkg))
		}
		there[s.pkg] = true
	}
	for _, p := range plan {
		if !there[p.path] {
			faults = append(faults, p.path+": in the plan, but there is no such package")
		}
	}
	return faults
}

func TestPlan(t *testing.T) {
	report(t, planFaults(plan, module(t)))
}

func TestPlanFaults(t *testing.T) {
	a := example(t, "a/a.go", "package a")
	b := example(t, "b/b_test.go", "package b")
	for _, c := range []struct {
		name    string
		plan    []place
		sources []source
		faults  int
	}{
		{"matches", []place{{path: "a"}, {path: "b"}}, []source{a, b, b}, 0},
		{"unlisted", []place{{path: "a"}}, []source{a, b}, 1},
		{"vanished", []place{{path: "a"}, {path: "b"}}, []source{a}, 1},
		{"twice", []place{{path: "a"}, {path: "a"}}, []source{a}, 1},
	} {
		expect(t, c.name, c.faults, planFaults(c.plan, c.sources))
	}
}
