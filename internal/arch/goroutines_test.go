package arch

import (
	"fmt"
	"slices"
	"testing"
)

// starts has the ways to start a goroutine. context.AfterFunc is left out: its function runs at
// most once, and ends by itself.
var starts = []string{"go", "time.AfterFunc"}

// goroutineFaults finds goroutines that are started in a layer below component. The
// package that starts a goroutine must also wait for its end. Only packages from the
// layer component upwards have a Run method where they can wait.
func goroutineFaults(plan []row, sources []source) []string {
	var faults []string
	for _, s := range sources {
		if at := rowOf(plan, s.pkg); s.test || at.goroutines || at.layer >= component {
			continue
		}
		for _, u := range s.uses() {
			if slices.Contains(starts, u.what) {
				faults = append(faults, fmt.Sprintf("%s:%d: %s: only the layers from component upwards may start goroutines", s.path, u.line, u.what))
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
		"coordinator/store/bolt/a.go":   1,
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
