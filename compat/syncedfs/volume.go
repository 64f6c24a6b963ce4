//go:build linux

package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// page is the number of bytes that a power cut keeps completely or not at all.
const page = 4096

// volume is the content of the file system: what processes see, and what is safe from a power cut.
type volume struct {
	mu      sync.Mutex
	root    *folder
	pending []rename // changes of names that are not safe yet, the oldest first
	calls   int      // changing calls so far
	stopAt  int      // number of the call that stops the volume; 0 if none does
	stopped bool     // no call changes anything any more
	noSync  bool     // syncs have no effect
}

// rename is a change of a name in a folder.
type rename struct {
	in   *folder
	name string
	to   member // nil if the name was removed
}

// member is a *folder or a *file.
type member any

func newVolume() *volume {
	v := &volume{}
	v.root = v.newFolder()
	return v
}

func (v *volume) newFolder() *folder {
	return &folder{v: v, now: map[string]member{}, safe: map[string]member{}}
}

func (v *volume) newFile(content []byte) *file {
	return &file{v: v, now: content, safe: bytes.Clone(content), dirty: map[int]bool{}}
}

// call counts a changing call of a process, and says whether it may have an effect. mu must be held.
// The call that stops the volume kills its caller.
func (v *volume) call(caller int) syscall.Errno {
	v.calls++
	if v.calls == v.stopAt {
		v.stopped = true
		if caller > 0 {
			_ = syscall.Kill(caller, syscall.SIGKILL) // it may have been killed already
		}
	}
	if v.stopped {
		return syscall.EIO
	}
	return 0
}

// stop makes the n-th changing call from now on stop the volume, or none if n is 0. mu must be held.
func (v *volume) stop(n int) {
	v.stopped, v.stopAt = false, 0
	if n > 0 {
		v.stopAt = v.calls + n
	}
}

// set changes a name. mu must be held.
func (v *volume) set(in *folder, name string, to member) {
	if to == nil {
		delete(in.now, name)
	} else {
		in.now[name] = to
	}
	v.pending = append(v.pending, rename{in, name, to})
}

// apply makes the change to the names of a folder.
func (r *rename) apply(names map[string]member) {
	if r.to == nil {
		delete(names, r.name)
	} else {
		names[r.name] = r.to
	}
}

// syncFolder makes the names in a folder safe. mu must be held.
func (v *volume) syncFolder(f *folder) {
	if v.noSync {
		return
	}
	v.pending = slices.DeleteFunc(v.pending, func(r rename) bool {
		if r.in == f {
			r.apply(f.safe)
		}
		return r.in == f
	})
}

// write writes an image of the volume into a folder. For each dirty page, pick chooses one of two
// versions: the safe one (0) or the newest. Of the n pending changes of names, the first pick(n+1) are
// made. mu must be held.
func (v *volume) write(to string, pick func(versions int) int) error {
	names := map[*folder]map[string]member{}
	namesOf := func(f *folder) map[string]member {
		if names[f] == nil {
			names[f] = maps.Clone(f.safe)
		}
		return names[f]
	}
	for i := range v.pending[:pick(len(v.pending)+1)] {
		r := &v.pending[i]
		r.apply(namesOf(r.in))
	}
	contents := map[*file][]byte{} // a file may have several names
	var write func(f *folder, path string) error
	write = func(f *folder, path string) error {
		err := os.MkdirAll(path, 0o700)
		for _, name := range slices.Sorted(maps.Keys(namesOf(f))) { // in order, so that a seed always gives the same image
			at := filepath.Join(path, name)
			switch m := names[f][name].(type) {
			case *folder:
				err = errors.Join(err, write(m, at))
			case *file:
				if contents[m] == nil {
					contents[m] = m.cut(pick)
				}
				err = errors.Join(err, os.WriteFile(at, contents[m], 0o600))
			}
		}
		return err
	}
	return write(v.root, to)
}

// cut returns a content of the file that a power cut may leave.
func (f *file) cut(pick func(versions int) int) []byte {
	size := len(f.safe)
	if len(f.now) < size && pick(2) == 1 { // the file was made shorter
		size = len(f.now)
	}
	image := bytes.Clone(f.safe[:size])
	for _, n := range slices.Sorted(maps.Keys(f.dirty)) {
		if pick(2) == 0 || n*page >= len(f.now) {
			continue
		}
		end := min(n*page+page, len(f.now))
		if end > len(image) {
			image = append(image, make([]byte, end-len(image))...)
		}
		copy(image[n*page:], f.now[n*page:end])
	}
	return image
}

// resize changes the length of the file. mu must be held.
func (f *file) resize(size int) {
	before := len(f.now)
	if size <= before {
		f.now = f.now[:size]
	} else {
		f.now = append(f.now, make([]byte, size-before)...)
	}
	f.touch(min(size, before), max(size, before))
}

// writeAt writes data. mu must be held.
func (f *file) writeAt(data []byte, at int) {
	if end := at + len(data); end > len(f.now) {
		f.resize(end)
	}
	copy(f.now[at:], data)
	f.touch(at, at+len(data))
}

// touch marks the pages of a range as dirty.
func (f *file) touch(from, to int) {
	for n := from / page; n*page < to; n++ {
		f.dirty[n] = true
	}
}

// sync makes the content safe. mu must be held.
func (f *file) sync() {
	if f.v.noSync {
		return
	}
	f.safe = bytes.Clone(f.now)
	clear(f.dirty)
}
