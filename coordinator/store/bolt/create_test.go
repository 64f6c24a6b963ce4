package bolt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestCreate: Open makes the folders too. Only the user can read what it makes.
func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "c.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	onlyFile(t, path)
}

func onlyFile(t *testing.T, path string) {
	t.Helper()
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("the folder has %v, want only the store: %v", all, err)
	}
}

// TestCreateRace: of several calls of Open that make the same store, one succeeds.
func TestCreateRace(t *testing.T) {
	path := fileIn(t.TempDir())
	var mu sync.Mutex
	var opened []*Store
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			s, err := Open(path, Options{})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				opened = append(opened, s)
			} else if !errors.Is(err, ErrLocked) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(opened) != 1 {
		t.Errorf("%d calls have opened the store, want 1", len(opened))
	}
	for _, s := range opened {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	onlyFile(t, path)
}

func TestCreateImpossible(t *testing.T) {
	dir := t.TempDir()
	link := func(to, name string) string {
		name = filepath.Join(dir, name)
		if err := os.Symlink(to, name); err != nil {
			t.Skip(err)
		}
		return name
	}
	file := fileIn(dir)
	write(t, file, []byte("x"))
	for name, c := range map[string]struct{ path, why string }{
		"below a file":           {filepath.Join(file, "below"), "not a directory"},
		"further below a file":   {filepath.Join(file, "far", "below"), "not a directory"},
		"below a loop of links":  {fileIn(link("loop", "loop")), "too many levels"},
		"below a link to no end": {fileIn(link("nowhere", "dangling")), "file exists"},
		"too long a name":        {fileIn(filepath.Join(dir, strings.Repeat("x", 300))), "name too long"},
		"a zero byte":            {filepath.Join(dir, "a\x00b", "c"), "invalid argument"},
	} {
		_, err := Open(c.path, Options{})
		if !errors.Is(err, ErrNoPlace) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, c.why) || !strings.HasSuffix(text, "give a folder that this user may write to") || strings.Contains(text, "not changed") {
			t.Errorf("%s: the error says %q", name, text)
		}
	}
	alone := fileIn(t.TempDir())
	if err := os.Symlink("nowhere", alone); err != nil {
		t.Skip(err)
	}
	if _, err := Open(alone, Options{}); err == nil {
		t.Error("Open has made a store at the end of a dangling link")
	}
	onlyFile(t, alone)
}

// TestSyncs checks the options that make bbolt wait for the disk. No test that kills a
// process could see the difference: the system keeps what the process has written.
func TestSyncs(t *testing.T) {
	s, err := Open(fileIn(t.TempDir()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.db.NoSync || s.db.NoGrowSync || s.db.NoFreelistSync {
		t.Error("a commit does not wait for the disk")
	}
}
