package arch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// imported is one import of a file.
type imported struct {
	path string
	line int
}

// imports lists what a file imports.
func (s source) imports() []imported {
	var all []imported
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		all = append(all, imported{p, s.line(spec.Pos())})
	}
	return all
}

// ours returns the path inside the module of an import of one of its packages.
func ours(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, modulePath+"/")
}

// floorFaults finds imports that go up or sideways. Tests are free: they may
// use what stands beside the floors, and Go itself refuses their cycles.
func floorFaults(plan []place, sources []source) []string {
	var faults []string
	for _, s := range sources {
		if s.test {
			continue
		}
		from := find(plan, s.pkg)
		for _, i := range s.imports() {
			pkg, is := ours(i.path)
			if !is {
				continue
			}
			if why := forbidden(from, find(plan, pkg)); why != "" {
				faults = append(faults, fmt.Sprintf("%s:%d: %s imports %s: %s", s.path, i.line, s.pkg, pkg, why))
			}
		}
	}
	return faults
}

// forbidden says why an import between two of our packages is wrong.
func forbidden(from, to place) string {
	switch {
	case to.floor == beside:
		return "only tests may import it"
	case to.floor == from.floor:
		return "neighbours on a floor never import each other"
	case to.floor > from.floor:
		return "imports go down, never up"
	case from.only != nil && !slices.Contains(from.only, to.path):
		return fmt.Sprintf("of ours it may import only %q", from.only)
	}
	return ""
}

func TestFloors(t *testing.T) {
	report(t, floorFaults(plan, module(t)))
}

func TestFloorFaults(t *testing.T) {
	for _, c := range []struct {
		file, imports string
		faults        int
	}{
		{"health/feed/a.go", "health", 0},
		{"internal/wire/a.go", "gen/meshhealth/v1", 0},
		{"coordinator/a.go", "coordinator/registry", 0},
		{"cmd/meshhealth/a.go", "coordinator", 0},
		{"internal/testmesh/a.go", "coordinator", 0},
		{"server/a_test.go", "internal/testmesh", 0},

		{"health/a.go", "health/feed", 1},                       // up
		{"gen/meshhealth/v1/a.go", "health", 1},                 // up
		{"server/a.go", "coordinator", 1},                       // up
		{"health/feed/a.go", "internal/wire", 1},                // sideways
		{"internal/wire/a.go", "health/feed", 1},                // sideways
		{"coordinator/watch/a.go", "coordinator/registry", 1},   // sideways
		{"coordinator/store/a.go", "gen/meshhealth/v1", 1},      // down, but health only
		{"coordinator/a.go", "internal/testmesh", 1},            // tests only
		{"internal/testmesh/a.go", "internal/arch", 1},          // tests only
		{"coordinator/rpc/a.go", "coordinator/not/listed", 0},   // TestPlan says so
		{"coordinator/not/listed/a.go", "coordinator/rpc", 1},   // nothing without a row
		{"coordinator/registry/a.go", "internal/grpchealth", 0}, // down
	} {
		text := fmt.Sprintf("package a\nimport %q", modulePath+"/"+c.imports)
		expect(t, c.file+" imports "+c.imports, c.faults, floorFaults(plan, []source{example(t, c.file, text)}))
	}
}
