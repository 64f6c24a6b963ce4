package arch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// numThreats is the number of threats in docs/security.md.
const numThreats = 35

var (
	threatRow  = regexp.MustCompile(`(?m)^\| (T\d+) \|(.*)\|([^|]*)\|$`)
	testsNamed = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*|\b\w+\.test\.mjs`)
	testsMade  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// threatFaults returns what is wrong with the table of threats in a page. tests has all tests that exist. A threat
// without a test must say that what it attacks does not exist.
func threatFaults(page string, tests map[string]bool) (faults []string) {
	seen := map[string]int{}
	for _, row := range threatRow.FindAllStringSubmatch(page, -1) {
		id, text, cell := row[1], row[2], row[3]
		seen[id]++
		named := testsNamed.FindAllString(cell, -1)
		if len(named) == 0 && !strings.Contains(text, "there are no ") {
			faults = append(faults, id+" names no test")
		}
		for _, name := range named {
			if !tests[name] {
				faults = append(faults, fmt.Sprintf("%s names %s, which does not exist", id, name))
			}
		}
	}
	for n := range numThreats {
		if id := fmt.Sprintf("T%d", n+1); seen[id] != 1 {
			faults = append(faults, fmt.Sprintf("%s has %d rows, want 1", id, seen[id]))
		}
	}
	return faults
}

// TestThreats checks that each threat has a row in docs/security.md, and that its tests exist.
func TestThreats(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".test.mjs"):
			tests[d.Name()] = true
		case strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			for _, m := range testsMade.FindAllStringSubmatch(string(text), -1) {
				tests[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range threatFaults(string(page), tests) {
		t.Error("docs/security.md: " + fault)
	}
}

func TestThreatFaults(t *testing.T) {
	var rows strings.Builder
	for n := range numThreats {
		fmt.Fprintf(&rows, "| T%d | a threat | a mend | TestOne |\n", n+1)
	}
	tests, table := map[string]bool{"TestOne": true}, rows.String()
	if faults := threatFaults(table, tests); faults != nil {
		t.Errorf("a good table: %q", faults)
	}
	for want, page := range map[string]string{
		"T3 has 0 rows, want 1":                  strings.Replace(table, "| T3 |", "| T99 |", 1),
		"T3 has 2 rows, want 1":                  table + "| T3 | a | b | TestOne |\n",
		"T3 names no test":                       strings.Replace(table, "| T3 | a threat | a mend | TestOne |", "| T3 | a threat | a mend | |", 1),
		"T3 names TestTwo, which does not exist": strings.Replace(table, "| T3 | a threat | a mend | TestOne |", "| T3 | a threat | a mend | TestOne, TestTwo |", 1),
	} {
		if faults := threatFaults(page, tests); len(faults) != 1 || faults[0] != want {
			t.Errorf("the faults are %q, want %q", faults, want)
		}
	}
}
