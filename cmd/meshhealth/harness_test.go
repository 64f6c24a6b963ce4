package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata")

// noon is the present time of all tests.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// shell runs commands in this process, and keeps what they print.
type shell struct {
	env      map[string]string
	columns  int              // of the terminal that stdout is; 0: no terminal
	now      func() time.Time // the clock; nil: it is always noon
	out, err bytes.Buffer
}

func (s *shell) app() *app {
	a := &app{
		stdout: &s.out, stderr: &s.err, getenv: func(name string) string { return s.env[name] },
		now: func() time.Time { return noon }, zone: time.UTC, columns: s.columns,
	}
	if s.now != nil {
		a.now = s.now
	}
	return a
}

// run runs one command line and returns what it has printed.
func (s *shell) run(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	s.out.Reset()
	s.err.Reset()
	code = s.app().run(ctx, args)
	return s.out.String(), s.err.String(), code
}

// golden compares a text with a file, or rewrites the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Errorf("%s:%d: got\n%s\nwant\n%s", file, i+1, strings.Join(g[min(i, len(g)):], "\n"), strings.Join(w[min(i, len(w)):], "\n"))
			return
		}
	}
}
