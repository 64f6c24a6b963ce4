//go:build linux

package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// image returns the files of an image: their first bytes, and their lengths in pages.
func image(t *testing.T, v *volume, pick func(versions int) int) map[string]string {
	t.Helper()
	dir, all := t.TempDir(), map[string]string{}
	if err := v.write(dir, pick); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		text := ""
		for at := 0; at < len(content); at += page {
			text += string(content[at : at+1])
		}
		name, _ := filepath.Rel(dir, path)
		all[name] = strings.ReplaceAll(text, "\x00", "0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func none(int) int { return 0 }

func every(versions int) int { return versions - 1 }

// TestVolume: an image has what was synced, and any part of what was not.
func TestVolume(t *testing.T) {
	v := newVolume()
	expect := func(what string, pick func(int) int, want map[string]string) {
		t.Helper()
		if got := image(t, v, pick); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	write := func(f *file, letter string, at, pages int) {
		f.writeAt([]byte(strings.Repeat(letter, pages*page)), at*page)
	}
	a := v.newFile(nil)
	v.set(v.root, "a", a)
	write(a, "x", 0, 2)
	a.sync()
	expect("the name is not synced", none, map[string]string{})
	expect("all is written", every, map[string]string{"a": "xx"})
	v.syncFolder(v.root)
	expect("the name is synced", none, map[string]string{"a": "xx"})
	write(a, "y", 1, 3)
	expect("new pages are not synced", none, map[string]string{"a": "xx"})
	expect("they are written", every, map[string]string{"a": "xyyy"})
	calls := 0
	third := func(versions int) int { // of the dirty pages 1, 2 and 3, after the choice of no names
		calls++
		return min(calls/4, versions-1)
	}
	expect("only the last page is written", third, map[string]string{"a": "xx0y"})
	a.resize(1 * page)
	expect("it is shorter", every, map[string]string{"a": "x"})
	expect("that is not synced", none, map[string]string{"a": "xx"})
	a.sync()
	expect("that is synced", none, map[string]string{"a": "x"})
	below := v.newFolder()
	v.set(v.root, "below", below)
	v.set(below, "b", a)
	v.syncFolder(below)
	expect("the folder above is not synced", none, map[string]string{"a": "x"})
	v.set(v.root, "a", nil)
	v.syncFolder(v.root)
	expect("a new name", none, map[string]string{"below/b": "x"})
	v.noSync = true
	write(a, "z", 0, 1)
	a.sync()
	expect("syncs have no effect", none, map[string]string{"below/b": "x"})
}

// TestStop: the call that stops the volume has no effect, and neither has any later one until the next command.
func TestStop(t *testing.T) {
	v := newVolume()
	v.stop(2)
	for n, want := range []syscall.Errno{0, syscall.EIO, syscall.EIO} {
		if got := v.call(0); got != want {
			t.Errorf("call %d: %v, want %v", n+1, got, want)
		}
	}
	if _, err := v.execute("stop 0"); err != nil || v.call(0) != 0 {
		t.Errorf("after the next command: %v", err)
	}
	for _, command := range []string{"", "stop", "image", "image most 1 " + t.TempDir()} {
		if _, err := v.execute(command); err == nil || !strings.Contains(err.Error(), "allowed: ") {
			t.Errorf("%q: %v", command, err)
		}
	}
}
