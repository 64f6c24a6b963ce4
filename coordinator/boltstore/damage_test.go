package boltstore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// content is everything a store holds.
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

// sample makes a file with pages of all kinds: branches, leaves, overflow,
// small buckets inside others, free pages.
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
	// The rest bbolt has only set aside.
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
		b.PutOverrides = []store.Override{{ID: id, Status: health.Maintenance, Author: "ann", SetAt: when}}
	case 79:
		b.Transitions[0].Reason = strings.Repeat("long ", 2000)
	}
	return b
}

// clean are the errors a damaged file may be refused with.
var clean = []error{ErrNotAFile, ErrEmpty, ErrForeign, ErrNewerFormat, ErrLocked, ErrReadOnly, ErrDamaged}

func isClean(err error) bool {
	for _, sentinel := range clean {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// overwrite is os.WriteFile without emptying the file first: some file systems
// take that for a reason to wait for the disk.
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

// openDamaged opens a file of these bytes. It must be refused and left alone,
// or hold what it should. It tells whether it was refused.
func openDamaged(t testing.TB, path string, image []byte, want content) error {
	t.Helper()
	overwrite(t, path, image)
	s, err := Open(path, Options{MaxTransitions: 60})
	if err != nil {
		if !isClean(err) {
			t.Errorf("refused with %v", err)
		}
		after, readErr := os.ReadFile(path)
		if readErr != nil || !bytes.Equal(after, image) {
			t.Errorf("the refused file was changed: %v, %v", readErr, err)
		}
		return err
	}
	defer s.Close()
	if got := contentOf(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("opened, and holds other data:\n got %+v\nwant %+v", got, want)
	}
	return nil
}

// commitDamaged goes on in a file that was not refused: it must stay good.
func commitDamaged(t testing.TB, path string, image []byte) {
	t.Helper()
	overwrite(t, path, image)
	s, err := Open(path, Options{MaxTransitions: 60})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := s.Commit(context.Background(), sampleBatch(80+n)); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := examine(path); err != nil {
		t.Errorf("after more commits: %v", err)
	}
}

func flipped(image []byte, at int, with byte) []byte {
	b := bytes.Clone(image)
	b[at] ^= with
	return b
}

func TestFlippedByte(t *testing.T) {
	image, want := sample(t)
	flipAll(t, image, want, 197, 0xFF)
	// The first bytes of each page are worth more.
	path := fileIn(t.TempDir())
	for page := 0; page < len(image); page += os.Getpagesize() {
		for at := page; at < page+48; at += 5 {
			_ = openDamaged(t, path, flipped(image, at, 1), want)
		}
	}
}

// TestFlippedRoot flips every byte of the page that leads to all others.
func TestFlippedRoot(t *testing.T) {
	image, want := sample(t)
	path := fileIn(t.TempDir())
	root := int(newestMeta(t, image).root) * os.Getpagesize()
	for at := root; at < root+800; at++ {
		_ = openDamaged(t, path, flipped(image, at, 0xFF), want)
	}
}

// TestSwappedChildren has a branch whose keys lead to the wrong leaves: every
// record can be read, but none found.
func TestSwappedChildren(t *testing.T) {
	path := fileIn(t.TempDir())
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &store.Batch{}
	for n := range 200 {
		id := health.ID{Service: "pay", Instance: strconv.Itoa(1000 + n)}
		b.PutRegistrations = append(b.PutRegistrations, store.Registration{ID: id})
	}
	if err := errors.Join(s.Commit(context.Background(), b), s.Close()); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size, branches := os.Getpagesize(), 0
	for at := 2 * size; at < len(image); at += size {
		if h := parseHeader(image[at:]); h.flags != flagBranch || h.id != uint64(at/size) {
			continue
		}
		branches++
		first, second := image[at+pageHeader+8:][:8], image[at+pageHeader+elementSize+8:][:8]
		kept := bytes.Clone(first)
		copy(first, second)
		copy(second, kept)
	}
	overwrite(t, path, image)
	if err := examine(path); branches != 1 || !errors.Is(err, ErrDamaged) {
		t.Errorf("%d branches: %v", branches, err)
	}
}

// flipAll flips every so manieth byte, each in a file of its own.
func flipAll(t *testing.T, image []byte, want content, stride int, with byte) {
	t.Helper()
	path := fileIn(t.TempDir())
	refused, passed := 0, 0
	for at := 0; at < len(image); at += stride {
		b := flipped(image, at, with)
		if openDamaged(t, path, b, want) != nil {
			refused++
			continue
		}
		if passed++; passed%50 == 0 {
			commitDamaged(t, path, b)
		}
	}
	t.Logf("%d bytes: %d flips refused, %d in free space", len(image), refused, passed)
	if refused == 0 || passed == 0 {
		t.Error("the test misses one of the cases")
	}
}

func TestTruncated(t *testing.T) {
	image, want := sample(t)
	path := fileIn(t.TempDir())
	refused := 0
	for size := 0; size < len(image); size += 509 {
		if openDamaged(t, path, image[:size], want) != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("never refused")
	}
}

func TestZeroedPage(t *testing.T) {
	image, want := sample(t)
	path, size := fileIn(t.TempDir()), os.Getpagesize()
	refused := 0
	for at := 0; at < len(image); at += size {
		b := bytes.Clone(image)
		clear(b[at : at+size])
		err := openDamaged(t, path, b, want)
		if at < 2*size && !errors.Is(err, ErrDamaged) {
			t.Errorf("without meta page %d: %v", at/size, err)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("%d pages refused", refused)
	}
}

// TestSwappedPages puts each page in the place of another.
func TestSwappedPages(t *testing.T) {
	image, want := sample(t)
	path, size := fileIn(t.TempDir()), os.Getpagesize()
	for from := 0; from < len(image); from += size {
		to := (from + 3*size) % len(image)
		b := bytes.Clone(image)
		copy(b[to:to+size], image[from:from+size])
		_ = openDamaged(t, path, b, want)
	}
}

// TestFreelist has lists that bbolt takes at their word.
func TestFreelist(t *testing.T) {
	image, want := sample(t)
	path, size := fileIn(t.TempDir()), os.Getpagesize()
	meta := newestMeta(t, image)
	list := image[meta.freelist*uint64(size):]
	n := int(native.Uint16(list[10:]))
	if n == 0 {
		t.Fatal("no free pages in the sample")
	}
	for name, spoil := range map[string]func(list []byte){
		"a page in use":   func(list []byte) { native.PutUint64(list[pageHeader:], meta.root) },
		"itself":          func(list []byte) { native.PutUint64(list[pageHeader:], meta.freelist) },
		"a meta page":     func(list []byte) { native.PutUint64(list[pageHeader:], 1) },
		"no such page":    func(list []byte) { native.PutUint64(list[pageHeader:], meta.pages) },
		"twice":           func(list []byte) { copy(list[pageHeader:pageHeader+8], list[pageHeader+8:]) },
		"one too few":     func(list []byte) { native.PutUint16(list[10:], uint16(n-1)) },
		"one too many":    func(list []byte) { native.PutUint16(list[10:], uint16(n+1)) },
		"far too many":    func(list []byte) { native.PutUint16(list[10:], 0xFFFF) },
		"not a list":      func(list []byte) { native.PutUint16(list[8:], flagLeaf) },
		"a longer page":   func(list []byte) { native.PutUint32(list[12:], 1) },
		"as long as that": func(list []byte) { native.PutUint32(list[12:], ^uint32(0)) },
	} {
		b := bytes.Clone(image)
		spoil(b[meta.freelist*uint64(size):])
		if err := openDamaged(t, path, b, want); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
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
	e := examiner{file: f}
	if err := e.metas(); err != nil {
		t.Fatal(err)
	}
	return e.meta
}

func FuzzOpenDamaged(f *testing.F) {
	image, want := sample(f)
	for _, at := range []uint32{0, 16, 24, 4096, 8192, 8202, 12288, 12300, 20000, 30000} {
		f.Add(at, byte(1), at+7, byte(0xFF), uint32(0))
	}
	f.Add(uint32(0), byte(0), uint32(0), byte(0), uint32(5000))
	f.Fuzz(func(t *testing.T, at1 uint32, with1 byte, at2 uint32, with2 byte, cut uint32) {
		b := bytes.Clone(image)
		b[int(at1)%len(b)] ^= with1
		b[int(at2)%len(b)] ^= with2
		b = b[:len(b)-int(cut)%len(b)]
		_ = openDamaged(t, fileIn(t.TempDir()), b, want)
	})
}
