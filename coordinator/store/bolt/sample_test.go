package bolt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

func fileIn(folder string) string { return filepath.Join(folder, "meshhealth.db") }

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// overwrite does the same as os.WriteFile without emptying the file first: after that, some
// file systems wait for the disk.
func overwrite(t testing.TB, path string, content []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

// content is all content of a store.
type content struct {
	state   store.State
	journal []store.Transition
}

func contentOf(t testing.TB, s *Store) content {
	t.Helper()
	state, err := s.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c := content{state: state}
	for q := (store.Query{Limit: store.MaxPage}); ; {
		page, err := s.Transitions(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		c.journal = append(c.journal, page.Transitions...)
		if q.Before = page.Next; q.Before == 0 {
			return c
		}
	}
}

// sample returns the image of a store with pages of all kinds, and its content. It has
// branches, leaves, overflow pages, inline buckets and free pages.
func sample(t testing.TB) (image []byte, want content) {
	t.Helper()
	path := fileIn(t.TempDir())
	s, err := Open(path, Options{MaxTransitions: 60})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 80 {
		b := sampleBatch(n)
		if err := s.Commit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	want = contentOf(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if image, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	// bbolt has only reserved the rest.
	return image[:newestMeta(t, image).pages*uint64(os.Getpagesize())], want
}

func sampleBatch(n int) *store.Batch {
	id := killID(n % 20)
	when := time.Unix(int64(n), 0).UTC()
	b := &store.Batch{
		PutRegistrations: []store.Registration{{ID: id, Address: "10.0.0.1:50051", Lease: uint64(n), RegisteredAt: when}},
		PutStatuses:      []store.Status{{ID: id, Status: health.Serving, Cause: health.CauseOK, Since: when}},
		Transitions:      []store.Transition{{ID: id, To: health.Serving, At: when, Reason: strings.Repeat("x", n)}},
		AliveAt:          when,
	}
	switch n {
	case 40:
		b.PutPositions = []store.Position{{Consumer: "notify", Seq: 7}, {Consumer: "web", Seq: 40}}
		b.PutOverrides = []store.Override{{Scope: id.String(), Status: health.Maintenance, Author: "ann", SetAt: when}}
	case 79:
		b.Transitions[0].Reason = strings.Repeat("long ", 2000)
	}
	return b
}

func newestMeta(t testing.TB, image []byte) boltMeta {
	t.Helper()
	path := fileIn(t.TempDir())
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := examiner{file: f, times: &store.TimeIndex{}}
	if err := e.readMetaPages(); err != nil {
		t.Fatal(err)
	}
	return e.meta
}

func flipped(image []byte, at int, with byte) []byte {
	b := bytes.Clone(image)
	b[at] ^= with
	return b
}

// edit returns a function that writes a sample and changes it with bbolt.
func edit(f func(tx *bbolt.Tx) error) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		image, _ := sample(t)
		write(t, path, image)
		editFile(t, path, f)
	}
}

func editFile(t *testing.T, path string, f func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// put returns a function that replaces one value of a bucket.
func put(bucket, key string, value []byte) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), value) }
}

// openAt opens a store. At the end of the test it closes the store and examines its file.
func openAt(t *testing.T, folder string, maxTransitions int) store.Store {
	t.Helper()
	s, err := Open(fileIn(folder), Options{MaxTransitions: maxTransitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := examineFile(fileIn(folder), &store.TimeIndex{}); err != nil {
			t.Errorf("after the test: %v", err)
		}
	})
	return s
}
