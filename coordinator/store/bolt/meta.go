package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// The layout of a meta page, in the byte order of the machine.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader = 16 // bytes of a page header: id 8, flags 2, count 2, overflow 4
	metaSize   = 64
	metaSummed = metaSize - 8 // number of bytes that the checksum covers; the last 8 bytes are the checksum

	noFreelist = ^uint64(0)

	minPageSize = 1 << 9
	maxPageSize = 1 << 24
)

var native = binary.NativeEndian

// boltMeta is the content of a meta page, which says which commit is valid. A file has two meta
// pages, which bbolt writes alternately. The page with the higher txid (transaction number) is
// the valid one.
type boltMeta struct {
	version, pageSize           uint32
	root, freelist, pages, txid uint64
}

// examiner reads a whole bbolt file with ordinary reads. It does not map the file into memory,
// because an access beyond the end of the file would then be a memory fault. It does not use the
// checks of bbolt, because these start goroutines, whose panics this package cannot catch.
type examiner struct {
	file   *os.File
	meta   boltMeta
	format uint32 // format number of the store
	times  *store.TimeIndex
	used   []bool // used[n] is true if page n was found already, as a page in use or as a free page
}

// readMetaPages reads and compares both meta pages, and returns an error unless both are valid.
// bbolt needs only one valid meta page. If bbolt used the older one, the last commit would be
// lost without an error. A crash cannot damage a meta page, because its content is in one sector.
// Commits write the pages in turn and wait for the disk. So the pages are of two successive commits,
// unless one of them is old: then the last commit would be lost without an error, too.
func (e *examiner) readMetaPages() error {
	first, err := e.readMetaPage(0, 0)
	if err != nil {
		return err
	}
	second, err := e.readMetaPage(1, int64(first.pageSize))
	if err != nil {
		return err
	}
	switch {
	case first.pageSize != second.pageSize:
		return &corruption{"the two meta pages", errors.New("they contradict each other")}
	case first.txid+1 != second.txid && second.txid+1 != first.txid:
		return &corruption{"the two meta pages", fmt.Errorf("they are of the commits %d and %d, which do not follow each other", first.txid, second.txid)}
	}
	e.meta = first
	if second.txid > first.txid {
		e.meta = second
	}
	return nil
}

func (e *examiner) readMetaPage(id uint64, offset int64) (boltMeta, error) {
	var page [pageHeader + metaSize]byte
	if _, err := e.file.ReadAt(page[:], offset); err != nil && err != io.EOF {
		return boltMeta{}, err
	}
	place := fmt.Sprintf("meta page %d", id)
	meta := page[pageHeader:]
	switch h := parseHeader(page[:]); {
	case native.Uint32(meta) != boltMagic && id == 0 && !e.hasSecondMetaPage():
		return boltMeta{}, &unsuitable{ErrForeign, "it is not a bbolt file"}
	case native.Uint32(meta) != boltMagic || native.Uint64(meta[metaSummed:]) != sum64(meta[:metaSummed]):
		return boltMeta{}, &corruption{place, errChecksum}
	case h.id != id || h.flags != flagMeta:
		return boltMeta{}, &corruption{place, errNotThisPage}
	}
	return parseMeta(meta)
}

// hasSecondMetaPage reports whether the file has a second meta page. It is called if the first page
// is not a meta page. A file with a second meta page is a damaged bbolt file. A file without one is
// not a bbolt file.
func (e *examiner) hasSecondMetaPage() bool {
	var b [4]byte
	for size := int64(minPageSize); size <= maxPageSize; size *= 2 {
		if n, _ := e.file.ReadAt(b[:], size+pageHeader); n == len(b) && native.Uint32(b[:]) == boltMagic {
			return true
		}
	}
	return false
}

func parseMeta(b []byte) (boltMeta, error) {
	m := boltMeta{
		version: native.Uint32(b[4:]), pageSize: native.Uint32(b[8:]),
		root: native.Uint64(b[16:]), freelist: native.Uint64(b[32:]),
		pages: native.Uint64(b[40:]), txid: native.Uint64(b[48:]),
	}
	switch {
	case m.version != boltVersion:
		return m, &unsuitable{ErrForeign, fmt.Sprintf("it has version %d of bbolt's format; allowed: %d", m.version, boltVersion)}
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0:
		return m, &corruption{"a meta page", fmt.Errorf("the page size is %d bytes", m.pageSize)}
	}
	return m, nil
}

func sum64(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b) // Write of a hash never returns an error
	return h.Sum64()
}

// checkSize checks that the file is long enough for all its pages. It must be called before any
// page other than the meta pages is read.
func (e *examiner) checkSize() error {
	info, err := e.file.Stat()
	if err != nil {
		return err
	}
	if have := uint64(info.Size()) / uint64(e.meta.pageSize); have < e.meta.pages { // #nosec G115 -- the size of a file is not negative
		return &corruption{"the file", fmt.Errorf("it has %d of its %d pages", have, e.meta.pages)}
	}
	return nil
}

// rewriteMetaPages reads both meta pages of an open file, writes them again unchanged, and syncs
// the file.
func rewriteMetaPages(file *os.File, pageSize int) error {
	pages := make([]byte, 2*pageSize)
	if _, err := file.ReadAt(pages, 0); err != nil {
		return err
	}
	if _, err := file.WriteAt(pages, 0); err != nil {
		return err
	}
	return file.Sync()
}
