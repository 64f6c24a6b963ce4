package bolt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"reflect"
	"strconv"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// clean has the errors with which Open may refuse a damaged file.
var clean = []error{ErrNotAFile, ErrEmpty, ErrForeign, ErrNewerFormat, ErrLocked, ErrReadOnly, ErrDamaged}

func isClean(err error) bool {
	for _, sentinel := range clean {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// openDamaged opens a file with this image. Open must refuse the file and not change it,
// or the store must have the content want. It returns the error of Open.
func openDamaged(t testing.TB, path string, image []byte, want content) error {
	t.Helper()
	overwrite(t, path, image)
	s, err := Open(path, Options{MaxTransitions: 60})
	if err != nil {
		if !isClean(err) {
			t.Errorf("refused with an unexpected error: %v", err)
		}
		after, readErr := os.ReadFile(path)
		if readErr != nil || !bytes.Equal(after, image) {
			t.Errorf("the refused file was changed: %v, %v", readErr, err)
		}
		return err
	}
	defer s.Close()
	if got := contentOf(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("the store was opened with other content:\n got %+v\nwant %+v", got, want)
	}
	return nil
}

// commitDamaged commits to a file that Open does not refuse. The file must stay sound.
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
	if err := examineFile(path, &store.TimeIndex{}); err != nil {
		t.Errorf("after more commits: %v", err)
	}
}

func TestFlippedByte(t *testing.T) {
	image, want := sample(t)
	flipAll(t, image, want, 197, 0xFF)
	// Flip more bytes of the headers of the pages.
	path := fileIn(t.TempDir())
	for page := 0; page < len(image); page += os.Getpagesize() {
		for at := page; at < page+48; at += 5 {
			_ = openDamaged(t, path, flipped(image, at, 1), want)
		}
	}
}

// TestFlippedRoot flips every byte of the root page.
func TestFlippedRoot(t *testing.T) {
	image, want := sample(t)
	path := fileIn(t.TempDir())
	root := int(newestMeta(t, image).root) * os.Getpagesize()
	for at := root; at < root+800; at++ {
		_ = openDamaged(t, path, flipped(image, at, 0xFF), want)
	}
}

// TestSwappedChildren has a branch whose keys lead to the wrong leaves. Every record can
// be read, but bbolt would not find it by its key.
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
	if err := examineFile(path, &store.TimeIndex{}); branches != 1 || !errors.Is(err, ErrDamaged) {
		t.Errorf("%d branches: %v", branches, err)
	}
}

// flipAll flips one byte in every stride bytes, each in a copy of the image.
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
		t.Error("the test needs both refused and accepted flips")
	}
}

// TestOldMetaPage replaces the newest meta page by one of an earlier commit, as a disk that has lost writes may do.
// bbolt would use the other meta page, and the last commit would be lost without an error.
func TestOldMetaPage(t *testing.T) {
	path, size := fileIn(t.TempDir()), os.Getpagesize()
	s, err := Open(path, Options{MaxTransitions: 60})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var images [][]byte
	for n := range 8 {
		if err := s.Commit(context.Background(), sampleBatch(n)); err != nil {
			t.Fatal(err)
		}
		images = append(images, mustRead(t, path))
	}
	image := images[len(images)-1]
	newest := int(newestMeta(t, image).txid % 2)
	for age := 4; age < len(images); age += 2 {
		b := bytes.Clone(image)
		copy(b[newest*size:(newest+1)*size], images[len(images)-1-age][newest*size:])
		if err := openDamaged(t, fileIn(t.TempDir()), b, content{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("a meta page that is %d commits old: %v", age, err)
		}
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
		t.Error("no truncated file was refused")
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
			t.Errorf("with zeros for meta page %d: %v", at/size, err)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("only %d files with a zeroed page were refused", refused)
	}
}

// TestSwappedPages copies each page to the place of another page.
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

// TestFreelist has wrong freelists. bbolt does not check them.
func TestFreelist(t *testing.T) {
	image, want := sample(t)
	path, size := fileIn(t.TempDir()), os.Getpagesize()
	meta := newestMeta(t, image)
	list := image[meta.freelist*uint64(size):]
	n := int(native.Uint16(list[10:]))
	if n == 0 {
		t.Fatal("the sample has no free pages")
	}
	for name, spoil := range map[string]func(list []byte){
		"a page in use":    func(list []byte) { native.PutUint64(list[pageHeader:], meta.root) },
		"itself":           func(list []byte) { native.PutUint64(list[pageHeader:], meta.freelist) },
		"a meta page":      func(list []byte) { native.PutUint64(list[pageHeader:], 1) },
		"no such page":     func(list []byte) { native.PutUint64(list[pageHeader:], meta.pages) },
		"twice":            func(list []byte) { copy(list[pageHeader:pageHeader+8], list[pageHeader+8:]) },
		"one too few":      func(list []byte) { native.PutUint16(list[10:], uint16(n-1)) },
		"one too many":     func(list []byte) { native.PutUint16(list[10:], uint16(n+1)) },
		"far too many":     func(list []byte) { native.PutUint16(list[10:], 0xFFFF) },
		"not a list":       func(list []byte) { native.PutUint16(list[8:], flagLeaf) },
		"a longer page":    func(list []byte) { native.PutUint32(list[12:], 1) },
		"the longest page": func(list []byte) { native.PutUint32(list[12:], ^uint32(0)) },
	} {
		b := bytes.Clone(image)
		spoil(b[meta.freelist*uint64(size):])
		if err := openDamaged(t, path, b, want); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWithoutFreelist opens a file without a freelist, as some tools write it.
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
		t.Fatal("the file has a freelist")
	}
	if err := openDamaged(t, path, image, want); err != nil {
		t.Error(err)
	}
	commitDamaged(t, path, image)
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
