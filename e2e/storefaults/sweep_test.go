//go:build e2e || soak

package storefaults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// calls are the system calls that make, extend and write a store.
var calls = []string{"pwrite64", "fdatasync", "fsync", "ftruncate"}

// counted runs the script without faults and returns how often it makes each call.
func counted(t *testing.T, s script) map[string]int {
	t.Helper()
	r := work(s, filepath.Join(t.TempDir(), "store.db"), true, "-e", "trace="+strings.Join(calls, ","))
	if err := errors.Join(r.err, r.check()); err != nil || len(r.acked) != len(s) {
		t.Fatal(r.explain(fmt.Errorf("without faults: %d of %d steps: %w", len(r.acked), len(s), err)))
	}
	return r.counts(t)
}

// counts returns how often the child has made each call.
func (r *run) counts(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(r.calls)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, call := range calls {
		n[call] = strings.Count("\n"+string(text), "\n"+call+"(")
	}
	t.Logf("the script makes %v", n)
	return n
}

// fault is one way in which the n-th call fails.
type fault struct {
	name, call, how, when string
	patient               bool // the fault ends, and the registry must recover
}

// kill is the fault that ends the process.
const kill = "signal=SIGKILL"

// faults has all faults. n is inserted into when.
var faults = []fault{
	{"killed while writing", "pwrite64", kill, "when=%d", false},
	{"killed while syncing", "fdatasync", kill, "when=%d", false},
	{"killed while growing", "ftruncate", kill, "when=%d", false},
	{"killed while syncing growth", "fsync", kill, "when=%d", false},
	{"one write fails", "pwrite64", "error=EIO", "when=%d", true},
	{"one sync fails", "fdatasync", "error=EIO", "when=%d", true},
	{"one growth fails", "ftruncate", "error=ENOSPC", "when=%d", true},
	{"one sync of growth fails", "fsync", "error=EIO", "when=%d", true},
	{"writes fail for a while", "pwrite64", "error=ENOSPC", "when=%d..%d", true},
	{"syncs fail for a while", "fdatasync", "error=ENOSPC", "when=%d..%d", true},
	{"writes fail from then on", "pwrite64", "error=ENOSPC", "when=%d+", false},
	{"syncs fail from then on", "fdatasync", "error=EIO", "when=%d+", false},
}

// aWhile is the number of calls that fail during a fault that ends.
const aWhile = 4

func (f *fault) inject(n int) string {
	when := strings.Replace(f.when, "%d", fmt.Sprint(n), 1)
	return "inject=" + f.call + ":" + f.how + ":" + strings.Replace(when, "%d", fmt.Sprint(n+aWhile-1), 1)
}

// TestEveryCall makes every call of the script fail, in every way.
func TestEveryCall(t *testing.T) {
	needStrace(t)
	n := counted(t, shortScript)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			sweep(t, n[f.call], func(path string, n int) error { return f.check(shortScript, path, n) })
		})
	}
}

// check runs the script s with a fault at the n-th call.
func (f *fault) check(s script, path string, n int) error {
	r := work(s, path, f.patient, "-e", "trace="+f.call, "-e", f.inject(n))
	if !r.injected() {
		// The texts of times differ in length, so a run may make fewer calls.
		return r.explain(errors.Join(r.err, r.check()))
	}
	if err := r.check(); err != nil {
		return r.explain(err)
	}
	if f.patient && r.opened() && (!r.done || len(r.acked) != len(s)) {
		return r.explain(errors.New("the fault has ended, and the registry has not recovered"))
	}
	return nil
}

// opened reports whether the child has opened its store. If it cannot make the store, it
// ends, and leaves no part of a store.
func (r *run) opened() bool { return len(r.acked)+len(r.refused) > 0 }
