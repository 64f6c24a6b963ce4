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
)

// auditFile is the only file of accepted writes in the runs of this file.
const auditFile = "writes-000001.jsonl"

// recordAudit runs the script of the audit log with one file, and records the calls of all threads.
func recordAudit(path string, options ...string) (*recorded, error) {
	env := []string{fmt.Sprint(auditEnv, "=", auditLines), auditOneFileEnv + "=1", patientEnv + "=1"}
	r := &recorded{run: runChild(path, env, append(append([]string{"-f"}, traced...), options...)...)}
	text, err := os.ReadFile(r.calls)
	if err := errors.Join(r.err, err); err != nil {
		return nil, r.explain(err)
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

// playAudit cuts the power after each call. It returns the number of images, and the errors of those
// in which an acknowledged line is lost.
func playAudit(dir string, r *recorded, byChance int, noSync bool) (disks int, bad []error) {
	d, acked := &unaligned{disk: newDisk(nil)}, map[int]bool{}
	for i := range r.events {
		e := &r.events[i]
		var n int
		switch {
		case scan(e.said, "acknowledged %d", &n):
			acked[n] = true
		case e.call == "write":
			continue
		case e.call == "pwrite64" && e.works:
			d.write(e.data, e.at)
		case e.call != "pwrite64" && noSync:
			d.sync(false)
		case e.call != "pwrite64":
			d.apply(e)
		}
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
	r, err := recordAudit(filepath.Join(t.TempDir(), "audit"))
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
		r, err := recordAudit(path, "-e", fmt.Sprintf("inject=fsync:error=EIO:when=%d", n+1))
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
