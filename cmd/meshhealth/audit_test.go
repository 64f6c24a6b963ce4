package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/audit"
)

// auditFolder makes a data folder with an audit log. Its clock moves by a minute with each line.
func auditFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var mu sync.Mutex
	at := noon.Add(-time.Hour)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
	l, err := audit.Open(filepath.Join(dir, audit.Folder), audit.Options{Now: now, Detail: "meshhealth 1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	for i, r := range []audit.Record{
		{
			Kind: audit.Write, Identity: "spiffe://example.org/ns/prod/sa/ops", Source: audit.Certificate, Peer: "10.0.0.7:41234", Verb: "override",
			Object: "payments", Detail: `MAINTENANCE until 2026-03-04T13:00:00Z: "disk is replaced"`, Rule: "operators", Outcome: audit.Accepted, Request: "1",
		},
		{Kind: audit.Refused, Source: audit.Anonymous, Peer: "10.0.0.9:5", Verb: "register", Object: "pay\x1b[31mments/a", Outcome: audit.Unauthenticated, Request: "2"},
		{Kind: audit.Write, Identity: "unix:uid=0", Source: audit.Socket, Verb: "clear", Object: "payments", Rule: "operators", Outcome: audit.Accepted, Request: "3"},
		{Kind: audit.Policy, Identity: "unix:uid=0", Source: audit.Socket, Verb: "reload", Object: "policy.yaml", Detail: "the rule edge is new", Rule: "operators", Outcome: audit.Accepted},
	} {
		mu.Lock()
		at = noon.Add(time.Duration(10*i-50) * time.Minute)
		mu.Unlock()
		if r.Kind == audit.Refused {
			l.Note(r)
		} else if err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// auditRuns runs commands on a log, and returns their output as a transcript. The folder is DIR in it.
func auditRuns(t *testing.T, dir string, commands ...string) string {
	t.Helper()
	var b strings.Builder
	for _, command := range commands {
		s := shell{env: map[string]string{}}
		stdout, stderr, code := s.run(t.Context(), strings.Fields(strings.ReplaceAll(command, "DIR", dir))...)
		fmt.Fprintf(&b, "$ meshhealth %s\n%s%sexit code %d\n\n", command, stdout, stderr, code)
	}
	return strings.ReplaceAll(b.String(), dir, "DIR")
}

func TestAudit(t *testing.T) {
	dir := auditFolder(t)
	r, err := audit.Verify(dir, audit.Noted{})
	if err != nil {
		t.Fatal(err)
	}
	hash, other := r.Chains[0].LastHash.String(), strings.Repeat("0", 64)
	got := auditRuns(
		t, dir,
		"audit show DIR",
		"audit show DIR --since 45m --limit 2",
		"audit show DIR/audit --identity unix:uid=0 -o json",
		"audit show DIR --identity nobody",
		"audit show DIR/audit/refused-000001.jsonl --plain",
		"audit verify DIR",
		"audit verify DIR/audit -o json",
		"audit verify DIR/audit/refused-000001.jsonl",
		"audit verify DIR --from 4 --hash "+hash,
		"audit verify DIR --from 4 --hash "+other,
		"audit verify DIR --from 9 --hash "+other,
		"audit verify DIR/nothing",
		"audit verify DIR/audit/lock",
	)
	path := filepath.Join(dir, audit.Folder, "writes-000001.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "operators", "operatorz", 1) + `{"v":1,"n":5`
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	got += auditRuns(t, dir, "audit verify DIR", "audit verify DIR -o json", "audit show DIR")
	golden(t, "testdata/audit.txt", got)
}

// TestAuditTerminal: on a narrow terminal, each line of the log is one line.
func TestAuditTerminal(t *testing.T) {
	dir := auditFolder(t)
	for _, columns := range []int{60, 100} {
		s := shell{env: map[string]string{}, columns: columns}
		stdout, _, code := s.run(t.Context(), "audit", "show", dir, "--color", "never")
		for line := range strings.Lines(stdout) {
			if n := columnsOf(strings.TrimSuffix(line, "\n")); n > columns {
				t.Errorf("%d columns: a line has %d: %s", columns, n, line)
			}
		}
		if n := strings.Count(stdout, "\n"); n != 6 || code != exitOK {
			t.Errorf("%d columns: %d lines, code %d:\n%s", columns, n, code, stdout)
		}
	}
}
