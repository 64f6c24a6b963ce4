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
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/boltstore"
	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// needStrace skips where calls cannot be made to fail.
func needStrace(t *testing.T) {
	t.Helper()
	out, err := exec.Command("strace", "-q", "-o", os.DevNull, "-e", "trace=none", os.Args[0], "-test.run", "^$").CombinedOutput()
	if err != nil {
		t.Skipf("NOT RUN: no call of the store's was made to fail, for that needs strace, and the right to trace: %v %s", err, out)
	}
}

// run is one run of the child.
type run struct {
	path    string // of the store
	calls   string // file with what strace has seen
	acked   map[int]bool
	refused map[int]string
	says    []string
	done    bool // it got to its end
	err     error
}

// work runs the child under strace on the store at path.
func work(path string, patient bool, options ...string) *run {
	r := &run{path: path, calls: path + ".calls", acked: map[int]bool{}, refused: map[int]string{}}
	cmd := exec.Command("strace", append(append([]string{"-q", "-o", r.calls}, options...), os.Args[0])...)
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	if patient {
		cmd.Env = append(cmd.Env, patientEnv+"=1")
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	r.err = cmd.Run()
	for s := bufio.NewScanner(strings.NewReader(out.String())); s.Scan(); {
		r.says = append(r.says, s.Text())
		r.read(s.Text())
	}
	return r
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

// injected reports whether anything was made to fail.
func (r *run) injected() bool {
	text, err := os.ReadFile(r.calls)
	return err == nil && (strings.Contains(string(text), "INJECTED") || strings.Contains(string(text), "+++ killed by"))
}

// check opens the store and holds it to what was acknowledged.
func (r *run) check() error {
	s, err := boltstore.Open(r.path, boltstore.Options{}) // which examines all of it
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
	return fits(held(&state), r.acked)
}

// fits wants what was acknowledged, and one more step at most, whole.
func fits(held records, acked map[int]bool) error {
	for _, may := range allowed(acked) {
		if same(held, may) {
			return nil
		}
	}
	return fmt.Errorf("the store holds %v; acknowledged were %v", held, acked)
}

func same(a, b records) bool {
	for id, text := range a {
		if other, there := b[id]; !there || other != text {
			return false
		}
	}
	return len(a) == len(b)
}

// checkHistory wants every transition at most once.
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
				return fmt.Errorf("%v became %v once, and it is in the history as %d and as %d", tr.ID, tr.To, tr.Seq, other)
			}
			seen[k] = tr.Seq
		}
		if q.Before = page.Next; q.Before == 0 {
			return nil
		}
	}
}

// explain adds what the child said.
func (r *run) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nthe child said (%v):\n%s", err, r.err, strings.Join(r.says, "\n"))
}

// atOnce is how many children run side by side.
const atOnce = 2

// sweep runs f for 1 to n, each in a folder of its own.
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
