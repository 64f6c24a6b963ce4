//go:build planted

package sim

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// within is the longest time in which the ordinary tests must find a planted bug.
const within = 60 * time.Second

var found = regexp.MustCompile(`(?s)(seed \d+), after (\d+) events, (\S+): at \S+: ([a-z -]+):.*minimised to (\d+) steps`)

// TestPlanted builds the ordinary tests of this package once for each planted bug, with the bug
// in the code that they test. They must find each bug.
func TestPlanted(t *testing.T) {
	files, err := filepath.Glob("testdata/planted/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { planted(t, file) })
	}
}

// TestPlantedConstants checks that each overlay of `make sweep` fits its file. The sweep
// itself runs too long for every change.
func TestPlantedConstants(t *testing.T) {
	files, err := filepath.Glob("testdata/constants/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		plant(t, file)
	}
}

func planted(t *testing.T, file string) {
	binary := build(t, "", plant(t, file))
	cmd := exec.Command(binary, "-test.run=^Test(Simulation|Registry)$", "-test.failfast", "-test.timeout=5m")
	out, err := cmd.CombinedOutput()
	m := found.FindSubmatch(out)
	if err == nil || m == nil {
		t.Fatalf("not found: %v\n%s", err, out[:min(len(out), 2000)])
	}
	took, err := time.ParseDuration(string(m[3]))
	if err != nil || took > within {
		t.Errorf("found after %s only, want %v", m[3], within)
	}
	t.Logf("%s, %s events, %s: %q; %s steps left", m[1], m[2], m[3], m[4], m[5])
}
