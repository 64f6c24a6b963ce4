package arch

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// floor is a row of the table of least versions in SECURITY.md.
type floor struct {
	module     string // path of a module, or goModule
	version    string // with the leading "v"
	advisories []string
}

// goModule names the Go toolchain in the table.
const goModule = "go"

// foreign has the modules that build programs of others at the versions of their authors. Only
// tests start these programs, in a network namespace of their own.
var foreign = []string{"compat/istio/go.mod", "compat/kube/go.mod"}

// TestFloors checks that no module of the repository requires less than SECURITY.md demands.
func TestFloors(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	floors, faults := floorsOf(string(text))
	report(t, faults)

	used := map[string]bool{goModule: true}
	checked := []string{}
	err = walk(func(name string, text []byte) error {
		if !isModFile(name) || slices.Contains(foreign, name) {
			return nil
		}
		checked = append(checked, name)
		versions, err := versionsOf(name, text)
		if err != nil {
			return err
		}
		for module := range versions {
			used[module] = true
		}
		report(t, floorFaults(floors, name, versions))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "bench/go.mod", "compat/go.mod", "compat/bed/go.mod", "kube/go.mod", "tools/grpcurl.mod"} {
		if !slices.Contains(checked, name) {
			t.Errorf("%s: was not checked", name)
		}
	}
	for _, f := range floors {
		if !used[f.module] {
			t.Errorf("SECURITY.md: no module requires %s; remove its row", f.module)
		}
	}
}

// isModFile reports whether a file describes a module: go.mod, or a module file of a tool.
func isModFile(name string) bool {
	return path.Base(name) == "go.mod" || path.Dir(name) == "tools" && path.Ext(name) == ".mod"
}

var advisory = regexp.MustCompile(`^(CVE-20\d\d-\d{4,}|GHSA(-[a-z0-9]{4}){3})$`)

// floorsOf reads the table of least versions. Each row has a module in backquotes, its version, its
// advisories and a reason.
func floorsOf(text string) (floors []floor, faults []string) {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 4 || !strings.HasPrefix(cells[0], "`") {
			continue
		}
		f := floor{strings.Trim(cells[0], "`"), "v" + cells[1], strings.Split(cells[2], ", ")}
		if !semver.IsValid(f.version) {
			faults = append(faults, fmt.Sprintf("SECURITY.md: the least version of %s is %s; allowed: a semantic version without v", f.module, cells[1]))
		}
		for _, a := range f.advisories {
			if !advisory.MatchString(a) {
				faults = append(faults, fmt.Sprintf("SECURITY.md: an advisory of %s is %q; allowed: CVE-… or GHSA-…", f.module, a))
			}
		}
		if cells[3] == "" {
			faults = append(faults, fmt.Sprintf("SECURITY.md: the row of %s has no reason", f.module))
		}
		floors = append(floors, f)
	}
	if len(floors) == 0 {
		faults = append(faults, "SECURITY.md: has no table of least versions")
	}
	return floors, faults
}

// versionsOf returns the version of each module that a module file requires, after its
// replacements. A replacement by a folder has no version and is left out. The version of goModule is
// that of the toolchain, or of the go directive if this is higher.
func versionsOf(name string, text []byte) (map[string]string, error) {
	file, err := modfile.Parse(name, text, nil)
	if err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for _, r := range file.Require {
		versions[r.Mod.Path] = r.Mod.Version
	}
	for _, r := range file.Replace {
		if at, ok := versions[r.Old.Path]; ok && (r.Old.Version == "" || r.Old.Version == at) {
			delete(versions, r.Old.Path)
			if r.New.Version != "" {
				versions[r.New.Path] = r.New.Version
			}
		}
	}
	if file.Go != nil {
		versions[goModule] = "v" + file.Go.Version
	}
	if file.Toolchain != nil {
		toolchain := "v" + strings.TrimPrefix(file.Toolchain.Name, "go")
		if semver.Compare(toolchain, versions[goModule]) > 0 {
			versions[goModule] = toolchain
		}
	}
	return versions, nil
}

// floorFaults finds the modules that a module file requires below their floors.
func floorFaults(floors []floor, name string, versions map[string]string) []string {
	var faults []string
	for _, f := range floors {
		at, ok := versions[f.module]
		if f.module == goModule && !ok {
			at, ok = "v0.0.0", true
		}
		if ok && semver.Compare(at, f.version) < 0 {
			faults = append(faults, fmt.Sprintf("%s: %s is %s; allowed: %s or later (%s)", name, f.module, at, f.version, strings.Join(f.advisories, ", ")))
		}
	}
	return faults
}

func TestFloorFaults(t *testing.T) {
	floors := []floor{
		{goModule, "v1.26.6", []string{"CVE-2026-0001"}},
		{"example.org/a", "v1.82.1", []string{"CVE-2026-0002"}},
	}
	const head = "module m\n\ngo 1.26.0\n\ntoolchain go1.26.6\n\n"
	for _, c := range []struct {
		name, text string
		faults     int
	}{
		{"at the floors", head + "require example.org/a v1.82.1\n", 0},
		{"above them", "module m\n\ngo 1.27.0\n\nrequire example.org/a v1.100.0\n", 0},
		{"another module", head + "require example.org/b v0.1.0\n", 0},
		{"below", head + "require example.org/a v1.82.0\n", 1},
		{"below, indirect", head + "require (\n\texample.org/a v1.9.0 // indirect\n)\n", 1},
		{"a candidate of the floor", head + "require example.org/a v1.82.1-rc.1\n", 1},
		{"replaced by an older one", head + "require example.org/a v1.82.1\nreplace example.org/a => example.org/a v1.80.0\n", 1},
		{"another version is replaced", head + "require example.org/a v1.82.1\nreplace example.org/a v1.0.0 => example.org/a v1.80.0\n", 0},
		{"replaced by a newer one", head + "require example.org/a v1.80.0\nreplace example.org/a => example.org/a v1.83.0\n", 0},
		{"replaced by a folder", head + "require example.org/a v0.0.0\nreplace example.org/a => ../a\n", 0},
		{"old toolchain", "module m\n\ngo 1.26.0\n\ntoolchain go1.26.5\n", 1},
		{"no toolchain", "module m\n\ngo 1.26.0\n", 1},
		{"no go directive", "module m\n", 1},
	} {
		versions, err := versionsOf("go.mod", []byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		expect(t, c.name, c.faults, floorFaults(floors, "go.mod", versions))
	}
}

func TestFloorsOf(t *testing.T) {
	const row = "| `example.org/a` | 1.2.3 | CVE-2026-0002, GHSA-hrxh-6v49-42gf | a reason |\n"
	for _, c := range []struct {
		name, text string
		rows       int
		faults     int
	}{
		{"good", "# T\n\n| module | least | advisories | why |\n|---|---|---|---|\n" + row, 1, 0},
		{"no table", "# T\n", 0, 1},
		{"no version", strings.Replace(row, "1.2.3", "v1.2.3", 1), 1, 1},
		{"no advisory", strings.Replace(row, "CVE-2026-0002, GHSA-hrxh-6v49-42gf", "", 1), 1, 1},
		{"no number", strings.Replace(row, "CVE-2026-0002", "CVE-2026", 1), 1, 1},
		{"no reason", strings.Replace(row, "a reason", "", 1), 1, 1},
	} {
		floors, faults := floorsOf(c.text)
		if len(floors) != c.rows {
			t.Errorf("%s: %d rows, want %d", c.name, len(floors), c.rows)
		}
		expect(t, c.name, c.faults, faults)
	}
}
