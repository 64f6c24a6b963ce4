//go:build e2e || soak

package storefaults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/internal/audit"
)

// sampleAudit is an audit log with several segments.
type sampleAudit struct {
	files map[string][]byte
	old   map[string][][]byte // earlier contents of each file
	noted audit.Noted         // last line
}

// newSampleAudit writes an audit log in four runs.
func newSampleAudit(t *testing.T) *sampleAudit {
	t.Helper()
	s, dir := &sampleAudit{old: map[string][][]byte{}}, t.TempDir()
	const parts = 4
	for n := range parts {
		for name, content := range s.files {
			s.old[name] = append(s.old[name], content)
		}
		if err := writeLines(dir, n*auditLines/2, (n+1)*auditLines/2); err != nil {
			t.Fatal(err)
		}
		s.files = map[string][]byte{}
		names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
		for _, name := range names {
			content, errRead := os.ReadFile(name)
			err = errors.Join(err, errRead)
			s.files[filepath.Base(name)] = content
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	report, err := audit.Verify(dir, audit.Noted{})
	if err != nil || !report.Sound() || len(s.files) < 4 {
		t.Fatalf("the sample: %+v, %v", report, err)
	}
	s.noted = audit.Noted{Number: report.Chains[0].Last, Hash: report.Chains[0].LastHash}
	return s
}

// writeLines appends lines with these numbers, and refusals.
func writeLines(dir string, from, to int) error {
	l, err := audit.Open(dir, auditOptions)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	for n := from; n < to; n++ {
		r := auditRecord(n)
		l.Note(r)
		err = errors.Join(err, l.Append(ctx, r))
	}
	stop()
	return errors.Join(err, <-ran, l.Close())
}

// harm makes an audit log in a folder, one file of which is damaged.
func (s *sampleAudit) harm(random *rand.Rand, dir string) (*harm, error) {
	names := slices.Sorted(maps.Keys(s.files))
	which := names[random.IntN(len(names))]
	old := s.old[which]
	if len(old) == 0 {
		old = [][]byte{s.files[names[0]]}
	}
	file, name := damaged(random, s.files[which], old)
	var err error
	for other, content := range s.files {
		if other == which {
			content = file
		}
		err = errors.Join(err, put(filepath.Join(dir, other), content))
	}
	writes := strings.HasPrefix(which, audit.Writes)
	changed := !bytes.Equal(file, s.files[which])
	judge := func(r *result) (outcome string, err error) {
		a := &r.Audit
		switch {
		case r.Error != "":
			return "failed", errors.New(r.Error)
		case writes && a.Sound == changed:
			return "not seen", fmt.Errorf("%s is changed: %v; the log is sound: %v", which, changed, a.Sound)
		case !includes(a.After, a.Before):
			return "sound lines are lost", fmt.Errorf("%d lines before, %d after", len(a.Before), len(a.After))
		case len(a.New) != newLines:
			return "new lines are lost", fmt.Errorf("%q", a.New)
		case a.Damage[1] > 0 || a.Faults[1] != a.Faults[0]:
			return "the second start finds more", fmt.Errorf("damage %d, faults %d", a.Damage, a.Faults)
		case !changed:
			return "not changed", nil
		case !writes:
			return "refusals", nil
		}
		return "found", nil
	}
	return &harm{job: &job{Dir: dir, Audit: true, Noted: s.noted}, name: name, judge: judge}, err
}

// includes reports whether all has each of some.
func includes(all, some []string) bool {
	have := map[string]bool{}
	for _, one := range all {
		have[one] = true
	}
	return !slices.ContainsFunc(some, func(one string) bool { return !have[one] })
}

// TestDamagedAudit opens damaged audit logs.
func TestDamagedAudit(t *testing.T) { damageAudits(t, 500) }

// damageAudits verifies n audit logs, one file of each is damaged, and continues them. Each change of the
// accepted writes must be found, with the last line noted. No sound line may be lost, neither an earlier nor a
// later one. Refusals are not always synced and are not noted, so a loss of the last ones cannot be seen.
func damageAudits(t *testing.T, n int) {
	t.Helper()
	t.Log(openDamaged(t, n, newSampleAudit(t).harm))
}
