package bolt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// TestDamagedWhileOpen overwrites the pages of an open store.
func TestDamagedWhileOpen(t *testing.T) {
	image, _ := sample(t)
	rest := len(image) - 2*os.Getpagesize()
	path, s := spoilOpen(t, image, bytes.Repeat([]byte{0xAA}, rest))
	// bbolt cannot roll back, and keeps its locks.
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "until the process ends") {
		t.Errorf("Close: %v", err)
	}
	checkRefused(t, path, ErrLocked)
}

// TestDamagedLeavesWhileOpen overwrites all pages of an open store but the freelist.
func TestDamagedLeavesWhileOpen(t *testing.T) {
	image, _ := sample(t)
	size := os.Getpagesize()
	spoiled := bytes.Repeat([]byte{0xAA}, len(image))
	list := int(newestMeta(t, image).freelist) * size
	copy(spoiled[list:list+size], image[list:])
	path, s := spoilOpen(t, image, spoiled[2*size:])
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	checkRefused(t, path, ErrDamaged)
}

// spoilOpen opens a store with this image and then overwrites its pages. Its methods must
// fail with ErrDamaged.
func spoilOpen(t *testing.T, image, pages []byte) (string, *Store) {
	t.Helper()
	path := fileIn(t.TempDir())
	write(t, path, image)
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(pages, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, load := s.Load(ctx)
	_, transitions := s.Transitions(ctx, store.Query{Limit: 1})
	for _, err := range []error{load, transitions, s.Commit(ctx, sampleBatch(1)), s.Commit(ctx, sampleBatch(1))} {
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "not changed") {
			t.Errorf("%v, want %v", err, ErrDamaged)
		}
	}
	return path, s
}

// TestTruncatedWhileOpen removes pages that are mapped.
func TestTruncatedWhileOpen(t *testing.T) {
	path := fileIn(t.TempDir())
	image, _ := sample(t)
	write(t, path, image)
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(context.Background()); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, want %v", err, ErrDamaged)
	}
	if err := s.Commit(context.Background(), sampleBatch(1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v, want %v", err, ErrDamaged)
	}
	_ = s.Close()
}

// TestCommitFails closes the file under bbolt. Commits must fail, and reads must work.
func TestCommitFails(t *testing.T) {
	path := fileIn(t.TempDir())
	image, want := sample(t)
	write(t, path, image)
	var file *os.File
	opts := boltOptions()
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	db, err := bbolt.Open(path, 0, opts)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{path: path, db: db, file: file, maxTransitions: 60}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err := s.Commit(context.Background(), sampleBatch(5))
		if err == nil || errors.Is(err, ErrDamaged) || errors.Is(err, store.ErrClosed) {
			t.Errorf("a commit to a closed file: %v", err)
		}
	}
	if got := contentOf(t, s); len(got.journal) != len(want.journal) {
		t.Errorf("%d transitions, want %d", len(got.journal), len(want.journal))
	}
	_ = s.Close()
	if err := openDamaged(t, path, image, want); err != nil {
		t.Error(err)
	}
}

// TestRefusedBatch has batches with one record that cannot be kept. No part is kept.
func TestRefusedBatch(t *testing.T) {
	path := fileIn(t.TempDir())
	image, want := sample(t)
	write(t, path, image)
	s, err := Open(path, Options{MaxTransitions: 60})
	if err != nil {
		t.Fatal(err)
	}
	long := killID(1)
	long.Service = strings.Repeat("x", 1<<16)
	zero := killID(1)
	zero.Service = "a\x00b"
	for _, spoil := range []func(*store.Batch){
		func(b *store.Batch) { b.PutRegistrations[0].ID = long },
		func(b *store.Batch) { b.PutRegistrations[0].ID = zero },
		func(b *store.Batch) { b.Transitions = append(b.Transitions, store.Transition{ID: zero}) },
		func(b *store.Batch) { b.Transitions[0].At = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		b := sampleBatch(40)
		spoil(b)
		err := s.Commit(context.Background(), b)
		if err == nil || errors.Is(err, ErrDamaged) {
			t.Errorf("the batch was not refused: %v", err)
		}
	}
	if got := contentOf(t, s); len(got.journal) != len(want.journal) || !got.state.AliveAt.Equal(want.state.AliveAt) {
		t.Error("a part of a refused batch was kept")
	}
	if err := errors.Join(s.Close(), examineFile(path, &store.TimeIndex{})); err != nil {
		t.Error(err)
	}
}
