//go:build soak

package storefaults

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// TestSoakEveryCall has faults that last from 1 to 16 calls.
func TestSoakEveryCall(t *testing.T) {
	needStrace(t)
	n := counted(t)
	for lasting := 1; lasting <= 16; lasting++ {
		for _, call := range []string{"pwrite64", "fdatasync"} {
			t.Run(fmt.Sprintf("%d of %s", lasting, call), func(t *testing.T) {
				sweep(t, n[call], func(path string, n int) error {
					f := &fault{call: call, how: "error=ENOSPC", when: fmt.Sprintf("when=%d..%d", n, n+lasting-1), patient: true}
					return f.check(path, n)
				})
			})
		}
	}
}

// TestSoakPowerCut makes 1 to 4 syncs fail and cuts the power after every call. It opens
// many images for each cut.
func TestSoakPowerCut(t *testing.T) {
	needStrace(t)
	syncs := counted(t)["fdatasync"]
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

// auditKillsEnv is the number of random kills of the soak test.
const auditKillsEnv = "MESHHEALTH_AUDIT_KILLS"

// TestSoakAuditKill kills the writer of an audit log 10,000 times, or as often as the environment says.
func TestSoakAuditKill(t *testing.T) {
	kills := 10_000
	if text := os.Getenv(auditKillsEnv); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", auditKillsEnv, err)
		}
		kills = n
	}
	killAudit(t, kills)
}
