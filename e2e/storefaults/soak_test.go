//go:build soak

package storefaults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
)

// TestSoakEveryCall has faults that last from 1 to 16 calls.
func TestSoakEveryCall(t *testing.T) {
	needStrace(t)
	n := counted(t, shortScript)
	for lasting := 1; lasting <= 16; lasting++ {
		for _, call := range []string{"pwrite64", "fdatasync"} {
			t.Run(fmt.Sprintf("%d of %s", lasting, call), func(t *testing.T) {
				sweep(t, n[call], func(path string, n int) error {
					f := &fault{call: call, how: "error=ENOSPC", when: fmt.Sprintf("when=%d..%d", n, n+lasting-1), patient: true}
					return f.check(shortScript, path, n)
				})
			})
		}
	}
}

// TestSoakPowerCut makes 1 to 4 syncs fail and cuts the power after every call. It opens
// many images for each cut.
func TestSoakPowerCut(t *testing.T) {
	needStrace(t)
	syncs := counted(t, shortScript)["fdatasync"]
	for failed := 1; failed <= 4; failed++ {
		t.Run(fmt.Sprintf("%d failed", failed), func(t *testing.T) {
			sweep(t, syncs, func(path string, n int) error {
				r, err := record(path, "-e", fmt.Sprintf("inject=fdatasync,fsync:error=EIO:when=%d..%d", n, n+failed-1))
				if err != nil {
					return err
				}
				_, bad := (&cuts{calls: len(r.events), byChance: 8}).play(r)
				return errors.Join(bad...)
			})
		})
	}
}

// runsEnv replaces the number of kills, power cuts or damaged files of the tests below.
const runsEnv = "MESHHEALTH_STOREFAULTS_RUNS"

// runs returns the value of runsEnv, or else n.
func runs(t *testing.T, n int) int {
	t.Helper()
	text := os.Getenv(runsEnv)
	if text == "" {
		return n
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", runsEnv, err)
	}
	return n
}

// TestSoakAuditKill kills the writer of an audit log 10,000 times.
func TestSoakAuditKill(t *testing.T) { killAudit(t, runs(t, 10_000)) }

// TestSoakCoordinatorKill kills coordinators 10,000 times.
func TestSoakCoordinatorKill(t *testing.T) { killCoordinators(t, runs(t, 10_000)) }

// TestSoakKillEveryCall kills a registry at every call that writes or syncs its store during the long script.
func TestSoakKillEveryCall(t *testing.T) {
	needStrace(t)
	n := counted(t, longScript)
	for _, f := range faults {
		if f.how != kill {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			sweep(t, n[f.call], func(path string, n int) error { return f.check(longScript, path, n) })
		})
	}
}

// TestSoakSyncedDiskPowerCut cuts the power of coordinators 2,000 times.
func TestSoakSyncedDiskPowerCut(t *testing.T) {
	program, cuts := needSyncedDisk(t), runs(t, 2000)
	cutPower(t, program, cuts)
	loseSyncs(t, program, cuts/5)
}

// TestSoakDamagedStore opens 100,000 damaged stores.
func TestSoakDamagedStore(t *testing.T) { damageStores(t, runs(t, 100_000)) }

// TestSoakDamagedAudit opens 100,000 damaged audit logs.
func TestSoakDamagedAudit(t *testing.T) { damageAudits(t, runs(t, 100_000)) }

// TestSoakSyncedDiskEveryCall kills a coordinator at every changing call of the long script, and also cuts the power
// there. After each kill another coordinator goes on for some calls on the same disk, and is killed too.
func TestSoakSyncedDiskEveryCall(t *testing.T) {
	program := needSyncedDisk(t)
	const part = 25 // steps that begin on a disk of their own, so that no run must execute the whole script
	var stops, killed atomic.Int64
	for from, first := "", 0; first < longSteps; first += part {
		part := func() *life { return newLife(longScript[:first+part], first) }
		calls, to := complete(t, program, part(), from)
		sweep(t, calls, func(path string, n int) error {
			g := &rig{program: program, folder: filepath.Dir(path), life: part()}
			if err := g.begin(from); err != nil {
				return err
			}
			stops.Add(1)
			l, err := g.good(n)
			if err == nil && l.run.killed {
				killed.Add(1)
				g.life.goOn(l.run, l.steps["all"])
				_, err = g.good(1 + rand.IntN(40))
			}
			return errors.Join(err, g.disk.end())
		})
		from = to
	}
	t.Logf("%d of %d coordinators were killed", killed.Load(), stops.Load())
	if killed.Load()*10 < stops.Load()*9 { // how many lines share a sync differs
		t.Errorf("only %d of %d coordinators were killed", killed.Load(), stops.Load())
	}
}
