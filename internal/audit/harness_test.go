package audit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// running is a log with its Run.
type running struct {
	*Log
	dir string
	end func() // ends Run and closes the log
}

// start opens a log and runs it until the test ends, or until end is called.
func start(t testing.TB, dir string, opts Options) *running {
	t.Helper()
	l, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	end := sync.OnceFunc(func() {
		stop()
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(end)
	return &running{l, dir, end}
}

// record returns a record of an accepted write.
func record(object string) Record {
	return Record{
		Kind: Write, Identity: "spiffe://example.org/ns/prod/sa/ops", Source: Certificate, Peer: "10.0.0.7:41234",
		Verb: "override", Object: object, Detail: "MAINTENANCE, \"disk is replaced\", until 2026-12-01T06:00:00Z",
		Rule: "operators", Outcome: Accepted, Request: "4f2a",
	}
}

// refusal returns a record of a refused request.
func refusal(object string) Record {
	return Record{Source: Anonymous, Peer: "10.0.0.9:5", Verb: "register", Object: object, Outcome: Denied}
}

// add appends records, and fails the test if one is not accepted.
func (r *running) add(t testing.TB, objects ...string) {
	t.Helper()
	for _, object := range objects {
		if err := r.Append(context.Background(), record(object)); err != nil {
			t.Fatal(err)
		}
	}
}

// filled makes a log with n accepted writes, closes it, and returns its folder.
func filled(t testing.TB, n int, opts Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "audit")
	l := start(t, dir, opts)
	for i := range n {
		l.add(t, fmt.Sprint("service-", i))
	}
	l.end()
	return dir
}

// objects returns the objects of the lines of a kind, in their order.
func objects(t testing.TB, path string, kind Kind) (all []string) {
	t.Helper()
	_, err := Read(path, func(l *Line) bool {
		if l.Kind == kind {
			all = append(all, l.Object)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// kindsIn returns the kinds of all lines in their order.
func kindsIn(t testing.TB, path string) (all []Kind) {
	t.Helper()
	if _, err := Read(path, func(l *Line) bool { all = append(all, l.Kind); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

// verified verifies a log.
func verified(t testing.TB, path string, noted Noted) *Report {
	t.Helper()
	r, err := Verify(path, noted)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sound fails the test if the log has a fault. It returns the report of the accepted writes.
func sound(t testing.TB, path string) *ChainReport {
	t.Helper()
	r := verified(t, path, Noted{})
	for i := range r.Chains {
		for _, f := range r.Chains[i].Faults {
			t.Errorf("a fault in a sound log: %v", f)
		}
	}
	return &r.Chains[0]
}

// faultsOf returns the faults of a log as sentences.
func faultsOf(t testing.TB, path string, noted Noted) (all []string) {
	t.Helper()
	for _, c := range verified(t, path, noted).Chains {
		for _, f := range c.Faults {
			all = append(all, strings.ReplaceAll(f.String(), path+"/", ""))
		}
	}
	return all
}

// files returns the contents of the segments in a folder by their names.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = string(text)
	}
	return all
}

// folder makes a folder with these files.
func folder(t testing.TB, all map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// firstFile is the name of the first segment of the accepted writes.
const firstFile = "writes-000001.jsonl"

func equal[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// clock is a clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
