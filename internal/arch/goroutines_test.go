package arch

import (
	"fmt"
	"slices"
	"testing"
)

// starts are the ways to start a goroutine. context.AfterFunc is not one of
// them: it joins two contexts, runs at most once, and ends by itself.
var starts = []string{"go", "time.AfterFunc"}

// goroutineFaults finds goroutines started below the rooms. Whoever starts one
// must also join it, and only rooms, wiring and roof have a Run to do it in.
func goroutineFaults(plan []place, sources []source) []string {
	var faults []string
	for _, s := range sources {
		if s.test || find(plan, s.pkg).floor >= room {
			continue
		}
		for _, u := range s.uses() {
			if slices.Contains(starts, u.what) {
				faults = append(faults, fmt.Sprintf("%s:%d: %s: goroutines begin in rooms, wiring and cmd", s.path, u.line, u.what))
			}
		}
	}
	return faults
}

func TestGoroutines(t *testing.T) {
	report(t, goroutineFaults(plan, module(t)))
}

func TestGoroutineFaults(t *testing.T) {
	const starter = "package a\nfunc f() { go f() }"
	for file, want := range map[string]int{
		"gen/meshhealth/v1/a.go":        1,
		"health/a.go":                   1,
		"internal/wire/a.go":            1,
		"internal/grpchealth/a.go":      1,
		"coordinator/boltstore/a.go":    1,
		"not/listed/a.go":               1,
		"server/a.go":                   0,
		"coordinator/a.go":              0,
		"cmd/meshhealth/a.go":           0,
		"internal/testmesh/a.go":        0,
		"internal/grpchealth/a_test.go": 0,
	} {
		expect(t, file, want, goroutineFaults(plan, []source{example(t, file, starter)}))
	}
}

func TestGoroutineFaultsOtherNames(t *testing.T) {
	for text, want := range map[string]int{
		"import \"time\"\nvar t = time.AfterFunc":                  1,
		"import \"sync\"\nfunc f(w *sync.WaitGroup) { w.Go(nil) }": 1,
		"import \"context\"\nvar a = context.AfterFunc":            0,
	} {
		s := example(t, "internal/grpchealth/a.go", "package a\n"+text)
		expect(t, text, want, goroutineFaults(plan, []source{s}))
	}
}
