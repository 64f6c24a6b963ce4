package arch

import (
	"fmt"
	"testing"
)

// The layers, the lowest first. A package imports only packages of lower layers.
const (
	generated  = iota - 1 // generated code
	base                  // packages with general functions; they import only the standard library
	vocabulary            // packages with values and functions only
	judgement             // packages that decide; they have values and functions only, and time is a parameter
	shared                // packages with locks, channels and contexts, but without goroutines, clocks and I/O
	core                  // packages that decide about values of shared; they have the rules of judgement
	adapter               // packages with one heavy dependency each, or with system calls
	component             // packages that start goroutines and wait for their end
	extension             // packages that belong to one component and import it
	wiring                // packages that connect the components
	setup                 // packages that belong to one package of wiring and import it
	command               // packages with flags, signals, exit codes and printing
	testOnly              // packages that may import every layer, and that only tests may import
)

// row is one package and its layer.
type row struct {
	path  string
	layer int
	only  []string // if not nil, the only packages of the module that the package may import
	light bool     // true if other programs embed the package, so that it may not need a heavy package
	// goroutines permits goroutines in a package below the layer component, if they end by
	// themselves.
	goroutines bool
}

// plan lists every package of the module.
var plan = []row{
	{path: "gen/meshhealth/v1", layer: generated},

	{path: "internal/graph", layer: base},
	{path: "internal/delay", layer: base},
	{path: "internal/fields", layer: base},
	{path: "internal/quoted", layer: base},
	{path: "health", layer: vocabulary},
	{path: "internal/late", layer: vocabulary},
	{path: "internal/domain", layer: vocabulary},

	{path: "health/feed", layer: shared, only: []string{"health"}},
	{path: "coordinator/store", layer: shared, only: []string{"health"}},
	{path: "internal/mesh", layer: judgement, only: []string{"health"}},
	{path: "internal/machine", layer: judgement, only: []string{"health"}},
	{path: "internal/access", layer: judgement, only: []string{"health", "internal/domain", "internal/fields"}},
	{path: "internal/routing", layer: judgement, only: []string{"health"}},
	{path: "internal/selector", layer: judgement, only: []string{"health", "internal/quoted"}},
	{path: "internal/wire", layer: shared},
	{path: "internal/compactjson", layer: shared, only: []string{}},

	{path: "internal/coordinator/core", layer: core},
	{path: "internal/explain", layer: core, only: []string{"health", "internal/mesh"}},

	{path: "coordinator/store/bolt", layer: adapter},
	{path: "internal/authority", layer: adapter, only: []string{"internal/wire"}},
	{path: "internal/grpchealth", layer: adapter},
	{path: "internal/httprpc", layer: adapter},
	{path: "internal/logs", layer: adapter, goroutines: true},
	{path: "internal/signals", layer: adapter},
	{path: "internal/input", layer: adapter, goroutines: true},
	{path: "internal/envoyconfig", layer: adapter},
	{path: "internal/audit", layer: adapter, only: []string{"internal/wire"}},

	{path: "internal/coordinator/registry", layer: component},
	{path: "internal/coordinator/follow", layer: component},
	{path: "internal/coordinator/api", layer: component},
	{path: "internal/coordinator/web", layer: component},
	{path: "internal/coordinator/xds", layer: component},
	{path: "internal/coordinator/metrics", layer: component},
	{path: "certs", layer: component, only: []string{"internal/fields", "internal/logs"}, light: true},
	{path: "client", layer: component, light: true},
	{path: "server", layer: component, light: true},

	{path: "server/check", layer: extension, only: []string{"server", "health", "gen/meshhealth/v1"}, light: true},
	{path: "server/orca", layer: extension, only: []string{"server", "health", "internal/fields"}},
	{path: "client/resolver", layer: extension, only: []string{
		"client", "health", "internal/routing", "internal/fields", "internal/logs", "internal/wire",
	}, light: true},
	{path: "server/promhealth", layer: extension, only: []string{"server", "health"}},

	{path: "coordinator", layer: wiring},
	{path: "internal/demo", layer: wiring},
	{path: "internal/chaos", layer: wiring},

	{path: "coordinator/config", layer: setup, only: []string{
		"certs", "coordinator", "health", "internal/access", "internal/coordinator/follow", "internal/fields", "internal/input", "internal/wire",
	}},

	{path: "cmd/meshhealth", layer: command},

	{path: "internal/logs/logtest", layer: testOnly},
	{path: "internal/nettest", layer: testOnly},
	{path: "internal/testmesh", layer: testOnly},
	{path: "internal/transcript", layer: testOnly},
	{path: "internal/sim", layer: testOnly},
	{path: "coordinator/store/storetest", layer: testOnly},

	{path: "internal/arch", layer: testOnly},
	{path: "e2e", layer: testOnly},
	{path: "e2e/storefaults", layer: testOnly},
	{path: "e2e/xds", layer: testOnly},
}

// rowOf returns the row of a package. A package without a row gets the layer
// vocabulary, which has the strictest rules.
func rowOf(plan []row, pkg string) row {
	for _, p := range plan {
		if p.path == pkg {
			return p
		}
	}
	return row{path: pkg, layer: vocabulary}
}

// planFaults finds packages without a row and rows without a package.
func planFaults(plan []row, sources []source) []string {
	var faults []string
	listed := map[string]bool{}
	for _, p := range plan {
		if listed[p.path] {
			faults = append(faults, p.path+": is listed twice")
		}
		listed[p.path] = true
	}
	there := map[string]bool{}
	for _, s := range sources {
		if !there[s.pkg] && !listed[s.pkg] {
			faults = append(faults, fmt.Sprintf("%s: is not in the plan; add a row with its layer in plan_test.go", s.pkg))
		}
		there[s.pkg] = true
	}
	for _, p := range plan {
		if !there[p.path] {
			faults = append(faults, p.path+": is in the plan, but there is no such package")
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
		plan    []row
		sources []source
		faults  int
	}{
		{"matches", []row{{path: "a"}, {path: "b"}}, []source{a, b, b}, 0},
		{"unlisted", []row{{path: "a"}}, []source{a, b}, 1},
		{"vanished", []row{{path: "a"}, {path: "b"}}, []source{a}, 1},
		{"twice", []row{{path: "a"}, {path: "a"}}, []source{a}, 1},
	} {
		expect(t, c.name, c.faults, planFaults(c.plan, c.sources))
	}
}
