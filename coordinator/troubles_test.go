package coordinator

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/audit"
)

func TestAuditReason(t *testing.T) {
	now := time.Unix(1000, 0)
	for want, s := range map[string]audit.Stats{
		"":           {Lines: 3, Began: now.Add(-time.Second)},
		auditFailing: {Failing: errors.New("disk"), Damage: []string{"x"}},
		auditDamaged: {Damage: []string{"x"}},
		auditHangs:   {Began: now.Add(-3 * time.Second)},
	} {
		if got := auditReason(s, now); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}

// TestTroubles: a damaged audit log and a bad file of the access policy make the coordinator DEGRADED, each by
// itself. A change of the policy is in the audit log.
func TestTroubles(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, audit.Folder)
	policy := &AccessPolicy{Rules: []access.Rule{{Name: "all", Who: []string{"anyone"}, Read: &access.Read{Services: []string{"*"}}}}}
	cfg := Config{DataDir: dir, Access: policy}
	stop := func() {}
	restart := func() *Coordinator {
		stop()
		cfg.Listen, cfg.HTTP = "127.0.0.1:0", Off
		c, err := New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		stop = runUntil(t, c)
		return c
	}
	c := restart()
	if _, err := c.SetAccess(policy); err != nil {
		t.Fatal(err)
	}
	becomes(t, c, health.Serving, "")
	if err := c.NoteAccessFile(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	becomes(t, c, health.Degraded, accessTrouble)
	if err := c.NoteAccessFile(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	becomes(t, c, health.Serving, "")
	stop()
	stop = func() {}
	lines := 0
	if _, err := audit.Read(folder, func(l *audit.Line) bool {
		if l.Kind == audit.Policy && strings.Contains(l.Detail, "1 rules; 0 streams ended") {
			lines++
		}
		return true
	}); err != nil || lines != 1 {
		t.Errorf("%d lines about the policy, %v", lines, err)
	}
	segments, err := filepath.Glob(filepath.Join(folder, "writes-*.jsonl"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	text, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segments[0], []byte(strings.Replace(string(text), "rules", "Rules", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c = restart()
	becomes(t, c, health.Degraded, auditDamaged)
	if err := c.NoteAccessFile(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	becomes(t, c, health.Degraded, accessTrouble+troublesJoined+auditDamaged)
	stop()
}

// becomes waits until the coordinator itself has a status and a reason.
func becomes(t *testing.T, c *Coordinator, want health.Status, reason string) {
	t.Helper()
	reader := c.registry.Feed().NewReader(feed.Interest{Names: []health.ID{{}}})
	for {
		step, err := reader.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for e := range step.Entries {
			if e.Status == want && (reason == "" || strings.Contains(e.Reason, reason)) {
				return
			}
		}
	}
}
