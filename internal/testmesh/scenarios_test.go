package testmesh

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/tools/txtar"
)

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil || len(archive.Files) != 1 {
				t.Fatalf("want one script: %v", err)
			}
			synctest.Test(t, func(t *testing.T) {
				m := New(t)
				defer m.Close()
				if err := m.Run(string(archive.Files[0].Data)); err != nil {
					t.Errorf("%s, %v", file, err)
				}
			})
		})
	}
}

// TestScriptsCanFail tests that a script fails if it expects something wrong.
func TestScriptsCanFail(t *testing.T) {
	for script, want := range map[string]string{
		"stock a/1\nexpect a/1 NOT_SERVING within 5s":                           "line 2: expect a/1 NOT_SERVING within 5s: it is SERVING ok",
		"stock a/1\nexpect a/1 SERVING within 5s\ngone a/1 within 5s":           "it is SERVING ok",
		"stock a/1\nexpect a/1 SERVING within 5s\nnever a/1 SERVING":            "it had that status",
		"stock a/1\nexpect a/1 SERVING within 5s\nonce a/1 DRAINING":            "it never was DRAINING",
		"stock a/1\nexpect a/1 SERVING within 5s\njournal a/1 SERVING STARTING": "the stored statuses are [SERVING]",
		"gap":                 "no gap marker was seen",
		"expect a/1 here":     "must end with",
		"leap a/1":            "no service a/1 was started",
		"stock a/1\nleap a/1": "cannot leap",
	} {
		synctest.Test(t, func(t *testing.T) {
			m := New(t)
			defer m.Close()
			err := m.Run(script)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", script, err, want)
			}
		})
	}
}
