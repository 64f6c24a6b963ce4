//go:build planted || soak

package sim

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"
)

// plant reads a file with an old and a new text. It writes an overlay for the go command that
// replaces the old text by the new one. The old text must occur exactly once in its file.
func plant(t *testing.T, file string) (overlay string) {
	a, err := txtar.ParseFile(file)
	if err != nil || len(a.Files) != 2 {
		t.Fatalf("%s: want two parts, old and new: %v", file, err)
	}
	_, where, _ := bytes.Cut(a.Comment, []byte("file: "))
	path, err := filepath.Abs(filepath.Join("../..", string(bytes.TrimSpace(where))))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	from, to := bytes.TrimSuffix(a.Files[0].Data, []byte("\n")), bytes.TrimSuffix(a.Files[1].Data, []byte("\n"))
	if n := bytes.Count(source, from); n != 1 {
		t.Fatalf("%s fits %s %d times, want once", file, path, n)
	}
	changed := filepath.Join(t.TempDir(), filepath.Base(path))
	write(t, changed, bytes.Replace(source, from, to, 1))
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlay = changed + ".json"
	write(t, overlay, text)
	return overlay
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T, tags, overlay string) (binary string) {
	binary = filepath.Join(t.TempDir(), "sim.test")
	if out, err := exec.Command("go", "test", "-c", "-tags", tags, "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}
