//go:build e2e || soak

package storefaults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/meshhealth/meshhealth/internal/audit"
)

// auditEnv makes the child append to the audit log at the path. Its value is the number of lines.
const auditEnv = "MESHHEALTH_STOREFAULTS_AUDIT"

const (
	auditLines   = 80 // of the script; they fill more than one segment
	auditWriters = 4  // goroutines of the script
	auditEndless = 1 << 40
)

// auditOneFileEnv makes the child write only one file: large segments, and no refusals.
const auditOneFileEnv = "MESHHEALTH_STOREFAULTS_AUDIT_ONE_FILE"

// auditOptions has small segments, so that the script needs several.
var auditOptions = audit.Options{SegmentBytes: 64 << 10, MaxBytes: 1 << 40}

// audit executes the script of the audit log: several goroutines append lines, and some requests are
// refused. The main thread makes all calls of the log.
func (c *child) audit(path string) (err error) {
	lines, err := strconv.Atoi(os.Getenv(auditEnv))
	if err != nil {
		return err
	}
	var l *audit.Log
	opts := auditOptions
	if os.Getenv(auditOneFileEnv) != "" {
		opts = audit.Options{}
	}
	c.call(func() { l, err = audit.Open(path, opts) })
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for w := range auditWriters {
		wg.Go(func() {
			for n := w; n < lines; n += auditWriters {
				appendLine(l, n)
			}
		})
	}
	go func() {
		wg.Wait()
		stop()
	}()
	c.call(func() { err = l.Run(ctx) })
	c.call(func() { err = errors.Join(err, l.Close()) })
	return err
}

// appendLine appends a line and prints its number when it is acknowledged. A patient child repeats it
// until then.
func appendLine(l *audit.Log, n int) {
	for r := auditRecord(n); ; {
		if os.Getenv(auditOneFileEnv) == "" {
			l.Note(r)
		}
		err := l.Append(context.Background(), r)
		if err == nil {
			fmt.Printf("acknowledged %d\n", n)
			return
		}
		fmt.Printf("refused %d: %v\n", n, err)
		if os.Getenv(patientEnv) == "" {
			return
		}
	}
}

// auditRecord is the record of the line with this number.
func auditRecord(n int) audit.Record {
	return audit.Record{
		Kind: audit.Write, Identity: "unix:uid=0", Source: audit.Socket, Verb: "override", Object: strconv.Itoa(n),
		Detail: strings.Repeat("x", 1000), Rule: "operators", Outcome: audit.Accepted,
	}
}

// auditUnderStrace runs the script of the audit log.
func auditUnderStrace(path string, patient bool, options ...string) *run {
	env := []string{fmt.Sprint(auditEnv, "=", auditLines)}
	if patient {
		env = append(env, patientEnv+"=1")
	}
	return runChild(path, env, options...)
}

// checkAudit checks that the log has every acknowledged line, and that its chain is sound. When the log
// is opened again, it may take no kill for damage.
func (r *run) checkAudit() error {
	for range 2 {
		if err := auditSound(r.path); err != nil {
			if errors.Is(err, errNoAudit) && len(r.acked) == 0 { // the child was killed before it had made a file
				return nil
			}
			return err
		}
		if err := errors.Join(auditHas(r.path, r.acked), reopenAudit(r.path)); err != nil {
			return err
		}
	}
	return nil
}

var errNoAudit = errors.New("there is no audit log")

// auditSound checks that the chains of a log have no fault.
func auditSound(path string) error {
	report, err := audit.Verify(path, audit.Noted{})
	if err != nil {
		return fmt.Errorf("%w: %w", errNoAudit, err)
	}
	for _, c := range report.Chains {
		for _, f := range c.Faults {
			return fmt.Errorf("the log is damaged: %v", f)
		}
	}
	return nil
}

// auditHas checks that a log has the lines of the script of the audit log with these numbers.
func auditHas(path string, acked map[int]bool) error {
	return auditHasLines(path, acked, strconv.Itoa, func(l *audit.Line) string { return l.Object })
}

// auditHasLines checks that a log has the line of each acknowledged step. want names the line of a step, or
// is empty if there is none. name names a line that is there.
func auditHasLines(path string, acked map[int]bool, want func(n int) string, name func(*audit.Line) string) error {
	have := map[string]bool{}
	if _, err := audit.Read(path, func(l *audit.Line) bool { have[name(l)] = true; return true }); err != nil {
		return err
	}
	for n := range acked {
		if line := want(n); line != "" && !have[line] {
			return fmt.Errorf("the line of step %d (%s) was acknowledged and is lost", n, line)
		}
	}
	return nil
}

// reopenAudit starts the log once more, which repairs it and writes a line.
func reopenAudit(path string) error {
	l, err := audit.Open(path, auditOptions)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	err = errors.Join(l.Run(ctx), l.Close())
	if damage := l.Stats().Damage; err == nil && len(damage) > 0 {
		err = fmt.Errorf("after the fault the log calls its files damaged: %q", damage)
	}
	return err
}

// TestAuditEveryCall makes every call of the audit log fail, in every way.
func TestAuditEveryCall(t *testing.T) {
	needStrace(t)
	r := auditUnderStrace(filepath.Join(t.TempDir(), "audit"), true, "-e", "trace="+strings.Join(calls, ","))
	if err := errors.Join(r.err, r.checkAudit()); err != nil || len(r.acked) != auditLines {
		t.Fatal(r.explain(fmt.Errorf("without faults: %d of %d lines: %w", len(r.acked), auditLines, err)))
	}
	n := r.counts(t)
	for _, f := range faults {
		if n[f.call] == 0 {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			var injected atomic.Int64
			sweep(t, n[f.call], func(path string, n int) error { return f.checkAudit(path, n, &injected) })
			// How many lines share a sync differs, so a run may make fewer calls.
			if got := int(injected.Load()); got < n[f.call]/2 {
				t.Errorf("only %d of %d runs had the fault", got, n[f.call])
			}
		})
	}
}

// checkAudit runs the script of the audit log with a fault at the n-th call.
func (f *fault) checkAudit(path string, n int, injected *atomic.Int64) error {
	r := auditUnderStrace(path, f.patient, "-e", "trace="+f.call, "-e", f.inject(n))
	if r.injected() {
		injected.Add(1)
	}
	err := r.checkAudit()
	if err == nil && f.patient && r.opened() && (!r.done || len(r.acked) != auditLines) {
		err = fmt.Errorf("the fault has ended, and only %d of %d lines are accepted", len(r.acked), auditLines)
	}
	return r.explain(err)
}

// TestAuditKill kills the writer of one log at random moments, again and again.
func TestAuditKill(t *testing.T) { killAudit(t, 20) }

// killAudit starts a writer and kills it, so many times.
func killAudit(t *testing.T, kills int) {
	t.Helper()
	path, acked := filepath.Join(t.TempDir(), "audit"), 0
	for i := range kills {
		if i%100 == 99 { // so that checks stay short
			path += "x"
		}
		r := newRun(path)
		if err := r.kill([]string{fmt.Sprint(auditEnv, "=", auditEndless)}, 1+rand.IntN(60), 0); err != nil {
			t.Fatal(r.explain(err))
		}
		if err := r.checkAudit(); err != nil {
			t.Fatalf("kill %d: %v", i, r.explain(err))
		}
		acked += len(r.acked)
	}
	t.Logf("%d kills, %d lines acknowledged", kills, acked)
}
