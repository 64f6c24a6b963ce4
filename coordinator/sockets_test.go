package coordinator

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"testing"
)

// TestTwoCoordinatorsHaveTwoSockets checks that each coordinator of a process has a unix socket of its own, which
// is gone after the end.
func TestTwoCoordinatorsHaveTwoSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "mesh") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	seen := map[string]bool{}
	var all []*Coordinator
	for range 2 {
		c, err := New(t.Context(), Config{Listen: "127.0.0.1:0", HTTP: Off, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		all, seen[c.Socket()] = append(all, c), true
	}
	if len(seen) != 2 || seen[""] {
		t.Errorf("sockets: %v", seen)
	}
	for _, c := range all {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(c.Socket()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v after the end", c.Socket(), err)
		}
	}
}
