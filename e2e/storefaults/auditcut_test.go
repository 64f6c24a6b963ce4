//go:build e2e || soak

package storefaults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/internal/audit"
)

// auditFile is the only file of accepted writes in the runs of this file.
const auditFile = "writes-000001.jsonl"

// recordAudit runs the script of the audit log with one file, and records the calls of all threads. A
// child that is not patient may end with an error.
func recordAudit(path string, patient bool, options ...string) (*recorded, error) {
	env := []string{fmt.Sprint(auditEnv, "=", auditLines), auditOneFileEnv + "=1"}
	if patient {
		env = append(env, patientEnv+"=1")
	}
	r := &recorded{run: runChild(path, env, append(append([]string{"-f"}, traced...), options...)...)}
	text, err := os.ReadFile(r.calls)
	if err != nil || patient && r.err != nil {
		return nil, r.explain(errors.Join(r.err, err))
	}
	if err := os.WriteFile(r.calls, []byte(oneThread(string(text))), 0o600); err != nil {
		return nil, err
	}
	r.events, err = events(r.calls)
	return r, r.explain(err)
}

var (
	threadLine = regexp.MustCompile(`^(\d+) +(.*)$`)
	resumed    = regexp.MustCompile(`^<\.\.\. \w+ resumed>`)
)

// oneThread removes the number of the thread from each line of strace, and joins calls that lines of
// other threads have split.
func oneThread(text string) string {
	var b strings.Builder
	begun := map[string]string{}
	for line := range strings.Lines(text) {
		m := threadLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		thread, call := m[1], m[2]
		if head, split := strings.CutSuffix(call, " <unfinished ...>"); split {
			begun[thread] = head
			continue
		}
		if at := resumed.FindStringIndex(call); at != nil {
			call = begun[thread] + call[at[1]:]
		}
		b.WriteString(call + "\n")
	}
	return b.String()
}

// unaligned makes writes of any place and length to a disk, which knows only whole sectors.
type unaligned struct {
	*disk
	now []byte // what a reader of the file sees
}

func (u *unaligned) write(data []byte, at int) {
	end := at + len(data)
	first, last := at/sector*sector, (end+sector-1)/sector*sector
	if last > len(u.now) {
		u.now = append(u.now, make([]byte, last-len(u.now))...)
	}
	copy(u.now[at:], data)
	u.disk.write(bytes.Clone(u.now[first:last]), first)
}

// play repeats an event.
func (u *unaligned) play(e *event, noSync bool) {
	switch {
	case e.call == "write":
	case e.call == "pwrite64" && e.works:
		u.write(e.data, e.at)
	case e.call != "pwrite64" && noSync:
		u.disk.sync(false)
	case e.call != "pwrite64":
		u.disk.apply(e)
	}
}

// playAudit cuts the power after each call. It returns the number of images, and the errors of those
// in which an acknowledged line is lost.
func playAudit(dir string, r *recorded, byChance int, noSync bool) (disks int, bad []error) {
	d, acked := &unaligned{disk: newDisk(nil)}, map[int]bool{}
	for i := range r.events {
		e := &r.events[i]
		var n int
		if scan(e.said, "acknowledged %d", &n) {
			acked[n] = true
		}
		if e.call == "write" {
			continue
		}
		d.play(e, noSync)
		for k, pick := range picks(uint64(i), byChance) {
			disks++
			image := bytes.TrimRight(d.cut(pick), "\x00") // the file system knows how long the file is
			err := overwrite(filepath.Join(dir, auditFile), image)
			if err == nil {
				err = auditHas(dir, acked)
			}
			if err != nil {
				bad = append(bad, fmt.Errorf("power cut after call %d (%s), the %d-th: %w", i, e.call, k, err))
			}
		}
	}
	return disks, bad
}

// TestAuditPowerCut cuts the power after each call of the audit log. As a control, it does the same
// without syncs, and must find lost lines.
func TestAuditPowerCut(t *testing.T) {
	needStrace(t)
	r, err := recordAudit(filepath.Join(t.TempDir(), "audit"), true)
	if err != nil {
		t.Fatal(err)
	}
	disks, bad := playAudit(t.TempDir(), r, 2, false)
	t.Logf("%d disks, %d bad", disks, len(bad))
	for _, err := range bad {
		t.Error(err)
	}
	disks, bad = playAudit(t.TempDir(), r, 2, true)
	t.Logf("without waiting for the disk: %d disks, %d bad", disks, len(bad))
	if len(bad) < disks/4 {
		t.Errorf("without waiting for the disk only %d of %d images are bad: the test cannot see lost syncs", len(bad), disks)
	}
}

// TestAuditPowerCutAfterFailedSync makes each sync fail once, and then cuts the power. It leaves out the
// first sync, without which Open makes no folder.
func TestAuditPowerCutAfterFailedSync(t *testing.T) {
	needStrace(t)
	sweep(t, 12, func(path string, n int) error {
		r, err := recordAudit(path, true, "-e", fmt.Sprintf("inject=fsync:error=EIO:when=%d", n+1))
		if err != nil {
			return err
		}
		dir := path + ".cut"
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		_, bad := playAudit(dir, r, 1, false)
		return errors.Join(bad...)
	})
}

// TestAuditPowerCutAfterRestart: the last lines before a kill were written, and their sync has failed.
// The log is killed before it can remove them. After the restart they are part of the chain, so they
// must become durable.
func TestAuditPowerCutAfterRestart(t *testing.T) {
	needStrace(t)
	sweep(t, 8, func(path string, n int) error {
		failed, err := recordAudit(path, false, "-e", fmt.Sprintf("inject=fsync:error=EIO:when=%d", n+3), "-e", "inject=ftruncate:signal=SIGKILL")
		if err != nil {
			return err
		}
		if failed.done {
			return failed.explain(errors.New("the child was not killed"))
		}
		next, err := recordAudit(path, true)
		if err != nil {
			return err
		}
		d := &unaligned{disk: newDisk(nil)}
		for _, r := range []*recorded{failed, next} {
			for i := range r.events {
				d.play(&r.events[i], false)
			}
		}
		dir := path + ".cut"
		onlySafe := func(int) int { return 0 }
		image := bytes.TrimRight(d.cut(onlySafe), "\x00")
		if err := errors.Join(os.Mkdir(dir, 0o700), overwrite(filepath.Join(dir, auditFile), image)); err != nil {
			return err
		}
		report, err := audit.Verify(dir, audit.Noted{})
		if err != nil {
			return err
		}
		if !report.Sound() {
			return fmt.Errorf("after the restart and a power cut: %v", report.Chains[0].Faults)
		}
		return errors.Join(auditHas(dir, failed.acked), auditHas(dir, next.acked))
	})
}
