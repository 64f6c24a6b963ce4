//go:build e2e || soak

package storefaults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/coordinator/store/bolt"
	"github.com/meshhealth/meshhealth/health"
)

// needStrace skips the test if strace cannot run.
func needStrace(t *testing.T) {
	t.Helper()
	out, err := exec.Command("strace", "-q", "-o", os.DevNull, "-e", "trace=none", os.Args[0], "-test.run", "^$").CombinedOutput()
	if err != nil {
		t.Skipf("NOT RUN: the test needs strace and the permission to trace: %v %s", err, out)
	}
}

// run is one run of the child.
type run struct {
	path    string // of the store
	script  script
	calls   string // file with the output of strace
	acked   map[int]bool
	refused map[int]string
	says    []string
	done    bool // the child has completed the script
	killed  bool // the child was killed; unknown under strace
	err     error
}

func newRun(path string) *run {
	return &run{path: path, script: shortScript, acked: map[int]bool{}, refused: map[int]string{}}
}

// work runs the child under strace on the store at path. The child executes the script s.
func work(s script, path string, patient bool, options ...string) *run {
	r := newRun(path)
	r.script = s
	env := []string{fmt.Sprint(scriptEnv, "=", len(s))}
	if patient {
		env = append(env, patientEnv+"=1")
	}
	r.strace(env, options...)
	return r
}

// runChild runs the child under strace on the store at path, with these variables.
func runChild(path string, env []string, options ...string) *run {
	r := newRun(path)
	r.strace(env, options...)
	return r
}

// strace runs the child under strace, with these variables.
func (r *run) strace(env []string, options ...string) {
	r.calls = r.path + ".calls"
	r.execute(env, "strace", append(append([]string{"-q", "-o", r.calls}, options...), os.Args[0])...)
}

// execute runs a program that is or becomes the child, with these variables.
func (r *run) execute(env []string, program string, args ...string) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(append(os.Environ(), childEnv+"="+r.path), env...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	r.ended(cmd.Run(), cmd)
	for s := bufio.NewScanner(strings.NewReader(out.String())); s.Scan(); {
		r.says = append(r.says, s.Text())
		r.read(s.Text())
	}
}

// ended notes how the process has ended.
func (r *run) ended(err error, cmd *exec.Cmd) {
	r.err = err
	if s := cmd.ProcessState; s != nil {
		status, ok := s.Sys().(syscall.WaitStatus)
		r.killed = ok && status.Signal() == syscall.SIGKILL
	}
}

// kill starts a child with these variables, and kills it some time after so many acknowledgements. The child may
// complete its script before.
func (r *run) kill(env []string, after int, later time.Duration) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+r.path), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	var timer *time.Timer
	kill := func() { _ = cmd.Process.Kill() } // the child may have ended by itself
	if after == 0 {
		timer = time.AfterFunc(later, kill)
	}
	for s := bufio.NewScanner(out); s.Scan(); {
		r.says = append(r.says, s.Text())
		if r.read(s.Text()); timer == nil && len(r.acked) >= after {
			timer = time.AfterFunc(later, kill)
		}
	}
	r.ended(cmd.Wait(), cmd)
	if timer != nil {
		timer.Stop()
	}
	return r.killedOrDone()
}

// killedOrDone checks that the child has not ended because of a fault.
func (r *run) killedOrDone() error {
	if r.killed || r.done && r.err == nil {
		return nil
	}
	return errors.New("the child has ended by itself")
}

func (r *run) read(line string) {
	var n int
	switch {
	case line == "done":
		r.done = true
	case scan(line, "acknowledged %d", &n):
		r.acked[n] = true
	case scan(line, "refused %d", &n):
		r.refused[n] = line
	}
}

func scan(line, format string, n *int) bool {
	_, err := fmt.Sscanf(line, format, n)
	return err == nil
}

// injected reports whether strace has made a call fail, or killed the child.
func (r *run) injected() bool {
	text, err := os.ReadFile(r.calls)
	return err == nil && (strings.Contains(string(text), "INJECTED") || strings.Contains(string(text), "+++ killed by"))
}

// check opens the store and compares it with what was acknowledged.
func (r *run) check() error {
	s, err := bolt.Open(r.path, bolt.Options{}) // Open examines the whole file
	if err != nil {
		return err
	}
	return errors.Join(r.checkRecords(s), checkHistory(s), s.Close())
}

func (r *run) checkRecords(s store.Store) error {
	state, err := s.Load(context.Background())
	if err != nil {
		return err
	}
	_, err = r.script.fits(held(&state), r.acked)
	return err
}

// checkHistory checks that the journal has each transition at most once.
func checkHistory(s store.Store) error {
	type key struct {
		id   health.ID
		at   int64
		to   health.Status
		gone bool
	}
	seen := map[key]uint64{}
	for q := (store.Query{Limit: store.MaxPage}); ; {
		page, err := s.Transitions(context.Background(), q)
		if err != nil {
			return err
		}
		for i := range page.Transitions {
			tr := &page.Transitions[i]
			k := key{tr.ID, tr.At.UnixNano(), tr.To, tr.Removed}
			if other, twice := seen[k]; twice {
				return fmt.Errorf("%v became %v once, and the journal has that as %d and as %d", tr.ID, tr.To, tr.Seq, other)
			}
			seen[k] = tr.Seq
		}
		if q.Before = page.Next; q.Before == 0 {
			return nil
		}
	}
}

// explain adds the output of the child to err.
func (r *run) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nthe output of the child (%v):\n%s", err, r.err, strings.Join(r.says, "\n"))
}

// atOnce is the number of children that run at the same time.
const atOnce = 2

// sweep calls f for 1 to n, each time with another folder.
func sweep(t *testing.T, n int, f func(path string, n int) error) {
	t.Helper()
	dir := t.TempDir()
	next := make(chan int)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				folder := filepath.Join(dir, fmt.Sprint(i))
				if err := errors.Join(os.Mkdir(folder, 0o700), f(filepath.Join(folder, "store.db"), i)); err != nil {
					t.Errorf("number %d: %v", i, err)
					continue
				}
				_ = os.RemoveAll(folder)
			}
		})
	}
	for i := 1; i <= n; i++ {
		next <- i
	}
	close(next)
	wg.Wait()
}
