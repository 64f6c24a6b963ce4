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

// imports lists the imports of a file.
func (s source) imports() []imported {
	var all []imported
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser has checked the path
		all = append(all, imported{p, s.line(spec.Pos())})
	}
	return all
}

// ours returns the path inside the module, if the import is one of its packages.
func ours(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, modulePath+"/")
}

// layerFaults finds imports of the same or a higher layer. Test files may import any
// package, since the compiler refuses import cycles between them.
func layerFaults(plan []row, sources []source) []string {
	var faults []string
	for _, s := range sources {
		if s.test {
			continue
		}
		from := rowOf(plan, s.pkg)
		for _, i := range s.imports() {
			pkg, is := ours(i.path)
			if !is {
				continue
			}
			if why := forbidden(from, rowOf(plan, pkg)); why != "" {
				faults = append(faults, fmt.Sprintf("%s:%d: %s imports %s: %s", s.path, i.line, s.pkg, pkg, why))
			}
		}
	}
	return faults
}

// forbidden returns why an import between two packages of the module is not allowed,
// or an empty text.
func forbidden(from, to row) string {
	switch {
	case to.layer == testOnly:
		return "only tests may import it"
	case to.layer == from.layer:
		return "packages of one layer never import each other"
	case to.layer > from.layer:
		return "a package imports only lower layers"
	case from.only != nil && !slices.Contains(from.only, to.path):
		return fmt.Sprintf("of this module it may import only %q", from.only)
	}
	return ""
}

func TestLayers(t *testing.T) {
	report(t, layerFaults(plan, module(t)))
}

func TestLayerFaults(t *testing.T) {
	for _, c := range []struct {
		file, imports string
		faults        int
	}{
		{"health/feed/a.go", "health", 0},
		{"internal/wire/a.go", "gen/meshhealth/v1", 0},
		{"coordinator/a.go", "internal/coordinator/registry", 0},
		{"cmd/meshhealth/a.go", "coordinator", 0},
		{"internal/testmesh/a.go", "coordinator", 0},
		{"server/a_test.go", "internal/testmesh", 0},

		{"health/a.go", "health/feed", 1},                                        // up
		{"gen/meshhealth/v1/a.go", "health", 1},                                  // up
		{"server/a.go", "coordinator", 1},                                        // up
		{"health/feed/a.go", "internal/wire", 1},                                 // sideways
		{"internal/wire/a.go", "health/feed", 1},                                 // sideways
		{"internal/coordinator/follow/a.go", "internal/coordinator/registry", 1}, // sideways
		{"coordinator/store/a.go", "gen/meshhealth/v1", 1},                       // down, but only health is allowed
		{"coordinator/a.go", "internal/testmesh", 1},                             // tests only
		{"internal/testmesh/a.go", "internal/arch", 1},                           // tests only
		{"internal/coordinator/api/a.go", "coordinator/not/listed", 0},           // TestPlan reports the missing row
		{"coordinator/not/listed/a.go", "internal/coordinator/api", 1},           // a package without a row
		{"internal/coordinator/registry/a.go", "internal/grpchealth", 0},         // down
	} {
		text := fmt.Sprintf("package a\nimport %q", modulePath+"/"+c.imports)
		expect(t, c.file+" imports "+c.imports, c.faults, layerFaults(plan, []source{example(t, c.file, text)}))
	}
}
