package boltstore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// stamp is what a refused path must keep.
func stamp(t *testing.T, path string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(filepath.Dir(path), func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(name + " " + info.Mode().String() + " " + info.ModTime().Format(time.RFC3339Nano) + "\n")
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(name)
		b.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// edit changes a store's file with bbolt's own means.
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

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// put replaces one value of a bucket.
func put(bucket, key string, value []byte) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), value) }
}

func text(content string) func(*testing.T, string) {
	return func(t *testing.T, path string) { write(t, path, []byte(content)) }
}

// others makes a bbolt file of another program.
func others(bucket string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		editFile(t, path, func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte(bucket))
			return errors.Join(err, b.Put([]byte("k"), []byte("v")))
		})
	}
}

func TestRefused(t *testing.T) {
	one := string(idKey(killID(1)))
	sealed, err := seal(bucketRegistrations, []byte(one), &store.Registration{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    error
	}{
		"directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, ErrNotAFile},
		"device": {func(t *testing.T, path string) {
			if err := os.Symlink(os.DevNull, path); err != nil {
				t.Skip(err)
			}
		}, ErrNotAFile},
		"empty":                    {text(""), ErrEmpty},
		"short text":               {text("x"), ErrForeign},
		"text":                     {text(strings.Repeat("some text\n", 5000)), ErrForeign},
		"zeros":                    {text(strings.Repeat("\x00", 1<<16)), ErrForeign},
		"bbolt":                    {others("other"), ErrForeign},
		"bbolt with a meta bucket": {others(bucketMeta), ErrForeign},
		"newer format":             {edit(put(bucketMeta, keyFormat, []byte{0, 0, 0, 2})), ErrNewerFormat},
		"far newer format, other records": {edit(func(tx *bbolt.Tx) error {
			return errors.Join(put(bucketMeta, keyFormat, []byte{1, 0, 0, 0})(tx), put(bucketMeta, keyState, []byte("?"))(tx))
		}), ErrNewerFormat},
		"read-only": {func(t *testing.T, path string) {
			image, _ := sample(t)
			write(t, path, image)
			if err := os.Chmod(path, 0o400); err != nil {
				t.Fatal(err)
			}
		}, ErrReadOnly},

		"format 0":          {edit(put(bucketMeta, keyFormat, []byte{0, 0, 0, 0})), ErrDamaged},
		"no format":         {edit(put(bucketMeta, keyFormat, nil)), ErrDamaged},
		"no state":          {edit(put(bucketMeta, keyState, nil)), ErrDamaged},
		"empty record":      {edit(put(bucketRegistrations, one, nil)), ErrDamaged},
		"strange record":    {edit(put(bucketRegistrations, one, []byte("\x02strange"))), ErrDamaged},
		"record elsewhere":  {edit(put(bucketRegistrations, string(idKey(killID(2))), sealed)), ErrDamaged},
		"record of another": {edit(put(bucketStatuses, one, sealed)), ErrDamaged},
		"one more record":   {edit(put(bucketRegistrations, "new\x00", mustSeal(t, bucketRegistrations, "new\x00"))), ErrDamaged},
		"no key of ours":    {edit(put(bucketRegistrations, "new", mustSeal(t, bucketRegistrations, "new"))), ErrDamaged},
		"no transition's":   {edit(put(bucketTransitions, "new", mustSeal(t, bucketTransitions, "new"))), ErrDamaged},
		"number out of turn": {edit(func(tx *bbolt.Tx) error {
			st, err := readState(tx)
			st.Transitions++ // so that the count is right
			return errors.Join(err, writeState(tx, &st),
				put(bucketTransitions, futureKey, mustSeal(t, bucketTransitions, futureKey))(tx))
		}), ErrDamaged},
		"one record less": {edit(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketRegistrations)).Delete([]byte(one))
		}), ErrDamaged},
		"no bucket": {edit(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(bucketOverrides)) }), ErrDamaged},
		"one bucket more": {edit(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("more"))
			return err
		}), ErrDamaged},
		"bucket for a record": {edit(func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte(bucketStatuses)).CreateBucket([]byte("more"))
			return err
		}), ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) { refusedCase(t, c.prepare, c.want) })
	}
}

var futureKey = string(transitionKey(&store.Transition{Seq: 1 << 40, ID: killID(1)}))

func mustSeal(t *testing.T, bucket, key string) []byte {
	t.Helper()
	record, err := seal(bucket, []byte(key), struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func refusedCase(t *testing.T, prepare func(t *testing.T, path string), want error) {
	t.Helper()
	path := fileIn(t.TempDir())
	prepare(t, path)
	checkRefused(t, path, want)
}

func checkRefused(t *testing.T, path string, want error) {
	t.Helper()
	before := stamp(t, path)
	s, err := Open(path, Options{})
	if s != nil || !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
	text := err.Error()
	if !strings.Contains(text, path) || !strings.HasSuffix(text, want.(*refusal).advice) || strings.Count(text, "boltstore") != 1 {
		t.Errorf("the error says %q", text)
	}
	if stamp(t, path) != before {
		t.Error("the file or its folder was changed")
	}
	t.Log(err)
}

func TestLocked(t *testing.T) {
	path := fileIn(t.TempDir())
	c := startChild(t, "hold", path)
	if !c.lines.Scan() {
		t.Fatal("the child did not open the store")
	}
	checkRefused(t, path, ErrLocked)
	if err := errors.Join(c.stdin.Close(), c.cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatalf("after the other process has ended: %v", err)
	}
	checkRefused(t, path, ErrLocked) // by ourselves
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestSyncs stands in for a power cut: killing a process loses nothing that it
// has written, whether it waited for the disk or not.
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

// TestCreate makes folders too, for nobody else's eyes.
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
		t.Errorf("beside the store: %v, %v", all, err)
	}
}

// TestCreateRace has several create the same store: one does, and keeps it.
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
		t.Errorf("%d have opened it", len(opened))
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
		if !strings.Contains(text, c.why) || !strings.HasSuffix(text, "give a folder that this user may write to") || strings.Contains(text, "left as") {
			t.Errorf("%s: the error says %q", name, text)
		}
	}
	alone := fileIn(t.TempDir())
	if err := os.Symlink("nowhere", alone); err != nil {
		t.Skip(err)
	}
	if _, err := Open(alone, Options{}); err == nil {
		t.Error("a store at a link to nowhere")
	}
	onlyFile(t, alone)
}

// TestWithoutFreelist opens what some tools write.
func TestWithoutFreelist(t *testing.T) {
	image, want := sample(t)
	path := fileIn(t.TempDir())
	write(t, path, image)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(*bbolt.Tx) error { return nil }
	if err := errors.Join(db.Update(nothing), db.Close()); err != nil {
		t.Fatal(err)
	}
	if image, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if newestMeta(t, image).freelist != noFreelist {
		t.Fatal("it has a list")
	}
	if err := openDamaged(t, path, image, want); err != nil {
		t.Error(err)
	}
	commitDamaged(t, path, image)
}

// TestDamagedWhileOpen spoils the file under an open store.
func TestDamagedWhileOpen(t *testing.T) {
	image, _ := sample(t)
	rest := len(image) - 2*os.Getpagesize()
	path, s := spoilOpen(t, image, bytes.Repeat([]byte{0xAA}, rest))
	// bbolt cannot even roll back, and keeps its locks.
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "until the process ends") {
		t.Errorf("Close: %v", err)
	}
	checkRefused(t, path, ErrLocked)
}

// TestDamagedLeavesWhileOpen leaves the list of free pages as it is.
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

// spoilOpen opens a store of this image, and then writes over its pages. What
// is asked of it must fail, and say why.
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
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "left as") {
			t.Errorf("%v, want %v", err, ErrDamaged)
		}
	}
	return path, s
}

// TestTruncatedWhileOpen takes pages away that are mapped.
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

// TestCommitFails takes the file away from bbolt: nothing can be written, and
// what was there can still be read.
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
			t.Errorf("a commit to nowhere: %v", err)
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

// TestRefusedBatch has one part that cannot be kept: none of it is.
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
	if err := errors.Join(s.Close(), examine(path)); err != nil {
		t.Error(err)
	}
}

// TestFormat holds the first format still: what it wrote must be readable.
func TestFormat(t *testing.T) {
	if magic != "meshhealth coordinator store" || keyMagic != "magic" || keyFormat != "format" || bucketMeta != "meta" {
		t.Error("these never change: older and newer releases look for them")
	}
	key := transitionKey(&store.Transition{Seq: 258, ID: killID(7), Lost: 1})
	if want := "\x00\x00\x00\x00\x00\x00\x01\x02gpay\x007"; string(key) != want {
		t.Errorf("key %q, want %q", key, want)
	}
	b := sampleBatch(40)
	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"registration": {&b.PutRegistrations[0], `{"address":"10.0.0.1:50051","lease":40,"registered_at":"1970-01-01T00:00:40Z"}`},
		"override":     {&b.PutOverrides[0], `{"status":"MAINTENANCE","author":"ann","reason":"","set_at":"1970-01-01T00:00:40Z"}`},
		"status":       {&b.PutStatuses[0], `{"status":"SERVING","cause":"ok","since":"1970-01-01T00:00:40Z"}`},
		"transition":   {&store.Transition{Seq: 9, ID: killID(1), To: 3, Cause: 2, Lost: 4, At: time.Unix(1, 5).UTC()}, `{"from":"UNKNOWN","to":"NOT_SERVING","at":"1970-01-01T00:00:01.000000005Z","cause":"warned","lost":4}`},
		"state":        {&state{LastSeq: 1, Statuses: 2}, `{"last_seq":1,"registrations":0,"overrides":0,"statuses":2,"transitions":0}`},
	} {
		record, err := seal("b", []byte("k"), c.v)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(record[recordHeader:]); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
	if record, _ := seal("b", []byte("k"), 1); string(record) != "\x01\x47\x8c\x9c\x51\x31" {
		t.Errorf("record %q", record)
	}
}
