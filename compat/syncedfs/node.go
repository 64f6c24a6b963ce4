//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// folder is a directory.
type folder struct {
	fs.Inode
	v         *volume
	now, safe map[string]member
}

// file is a regular file.
type file struct {
	fs.Inode
	v         *volume
	now, safe []byte
	dirty     map[int]bool // numbers of the pages that were written since the last sync
}

var (
	_ fs.NodeCreater   = (*folder)(nil)
	_ fs.NodeMkdirer   = (*folder)(nil)
	_ fs.NodeLinker    = (*folder)(nil)
	_ fs.NodeUnlinker  = (*folder)(nil)
	_ fs.NodeGetattrer = (*folder)(nil)
	_ fs.NodeFsyncer   = (*folder)(nil)

	_ fs.NodeOpener    = (*file)(nil)
	_ fs.NodeReader    = (*file)(nil)
	_ fs.NodeWriter    = (*file)(nil)
	_ fs.NodeGetattrer = (*file)(nil)
	_ fs.NodeSetattrer = (*file)(nil)
	_ fs.NodeFsyncer   = (*file)(nil)
)

// begin locks the volume for a changing call of a process, and says whether the call may have an effect.
// The caller unlocks it.
func (v *volume) begin(ctx context.Context) syscall.Errno {
	process := 0
	if c, ok := fuse.FromContext(ctx); ok {
		process = int(int32(c.Pid)) // the kernel's type; a number that is not positive would name many processes
	}
	v.mu.Lock()
	return v.call(process)
}

// node makes the node of a new member of a folder. It stays until its last name is removed.
func (f *folder) node(ctx context.Context, m member) *fs.Inode {
	switch m := m.(type) {
	case *folder:
		return f.NewPersistentInode(ctx, m, fs.StableAttr{Mode: syscall.S_IFDIR})
	case *file:
		return f.NewPersistentInode(ctx, m, fs.StableAttr{Mode: syscall.S_IFREG})
	}
	return nil
}

// keep adds a member that is safe.
func (f *folder) keep(name string, m member) {
	f.now[name], f.safe[name] = m, m
	f.AddChild(name, f.node(context.Background(), m), true)
}

// load fills the root with the files of a folder. They are all safe.
func (v *volume) load(from string) error { return v.root.load(from) }

func (f *folder) load(from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(from, e.Name())
		if e.IsDir() {
			below := f.v.newFolder()
			f.keep(e.Name(), below)
			if err := below.load(path); err != nil {
				return err
			}
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f.keep(e.Name(), f.v.newFile(content))
	}
	return nil
}

// Create implements fs.NodeCreater.
func (f *folder) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	defer f.v.mu.Unlock()
	if errno := f.v.begin(ctx); errno != 0 {
		return nil, nil, 0, errno
	}
	made := f.v.newFile(nil)
	f.v.set(f, name, made)
	made.attributes(&out.Attr)
	return f.node(ctx, made), nil, 0, 0
}

// Mkdir implements fs.NodeMkdirer.
func (f *folder) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	defer f.v.mu.Unlock()
	if errno := f.v.begin(ctx); errno != 0 {
		return nil, errno
	}
	made := f.v.newFolder()
	f.v.set(f, name, made)
	out.Mode = syscall.S_IFDIR | 0o700
	return f.node(ctx, made), 0
}

// Link implements fs.NodeLinker.
func (f *folder) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	defer f.v.mu.Unlock()
	if errno := f.v.begin(ctx); errno != 0 {
		return nil, errno
	}
	linked, is := target.(*file)
	if !is {
		return nil, syscall.EPERM
	}
	if _, there := f.now[name]; there {
		return nil, syscall.EEXIST
	}
	f.v.set(f, name, linked)
	linked.attributes(&out.Attr)
	return linked.EmbeddedInode(), 0
}

// Unlink implements fs.NodeUnlinker.
func (f *folder) Unlink(ctx context.Context, name string) syscall.Errno {
	defer f.v.mu.Unlock()
	if errno := f.v.begin(ctx); errno != 0 {
		return errno
	}
	f.v.set(f, name, nil)
	return 0
}

// Getattr implements fs.NodeGetattrer.
func (f *folder) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFDIR | 0o700
	return 0
}

// Fsync implements fs.NodeFsyncer.
func (f *folder) Fsync(ctx context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	defer f.v.mu.Unlock()
	if errno := f.v.begin(ctx); errno != 0 {
		return errno
	}
	f.v.syncFolder(f)
	return 0
}

// Open implements fs.NodeOpener.
func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

// Read implements fs.NodeReader.
func (f *file) Read(_ context.Context, _ fs.FileHandle, into []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	from := min(int(at), len(f.now))
	n := copy(into, f.now[from:])
	return fuse.ReadResultData(into[:n]), 0
}

// Write implements fs.NodeWriter.
func (f *file) Write(ctx context.Context, _ fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	defer f.v.mu.Unlock()
	if errno := f.v.begin(ctx); errno != 0 {
		return 0, errno
	}
	f.writeAt(data, int(at))
	return uint32(len(data)), 0
}

// Getattr implements fs.NodeGetattrer.
func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.v.mu.Lock()
	defer f.v.mu.Unlock()
	f.attributes(&out.Attr)
	return 0
}

// Setattr implements fs.NodeSetattrer. Only the length can be changed.
func (f *file) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	defer f.v.mu.Unlock()
	if errno := f.v.begin(ctx); errno != 0 {
		return errno
	}
	if size, ok := in.GetSize(); ok {
		f.resize(int(size))
	}
	f.attributes(&out.Attr)
	return 0
}

func (f *file) attributes(out *fuse.Attr) {
	out.Mode, out.Size, out.Nlink = syscall.S_IFREG|0o600, uint64(len(f.now)), 1
}

// Fsync implements fs.NodeFsyncer.
func (f *file) Fsync(ctx context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	defer f.v.mu.Unlock()
	if errno := f.v.begin(ctx); errno != 0 {
		return errno
	}
	f.sync()
	return 0
}
