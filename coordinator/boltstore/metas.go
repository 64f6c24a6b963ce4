package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// What bbolt puts into a file, in the byte order of the machine.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader = 16 // id 8, flags 2, count 2, overflow 4
	metaSize   = 64
	metaSummed = metaSize - 8

	noFreelist = ^uint64(0)

	minPageSize = 1 << 9
	maxPageSize = 1 << 24
)

var native = binary.NativeEndian

// misfit is why a sound file is not for us.
type misfit struct {
	why    error
	detail string
}

// Error implements error.
func (m *misfit) Error() string { return m.why.Error() + ": " + m.detail }

// boltMeta is the root of everything; a file has two, written in turns.
type boltMeta struct {
	version, pageSize           uint32
	root, freelist, pages, txid uint64
}

// examiner reads a whole file the way bbolt writes it, through plain reads: a
// mapping would fault where the file ends too soon, and bbolt's own checks
// start goroutines whose panics nobody can catch.
type examiner struct {
	file *os.File
	meta boltMeta
	used []bool // pages that were reached
}

// metas reads both. One alone would do for bbolt, which falls back to the older
// one, and so would silently lose the last commit. No crash leaves only one: a
// meta lies within one sector.
func (e *examiner) metas() error {
	first, err := e.readMeta(0, 0)
	if err != nil {
		return err
	}
	second, err := e.readMeta(1, int64(first.pageSize))
	if err != nil {
		return err
	}
	if first.pageSize != second.pageSize || first.txid == second.txid {
		return &spoiled{"the two meta pages", errors.New("they contradict each other")}
	}
	e.meta = first
	if second.txid > first.txid {
		e.meta = second
	}
	return nil
}

func (e *examiner) readMeta(id uint64, offset int64) (boltMeta, error) {
	var page [pageHeader + metaSize]byte
	if _, err := e.file.ReadAt(page[:], offset); err != nil && err != io.EOF {
		return boltMeta{}, err
	}
	where := fmt.Sprintf("meta page %d", id)
	meta := page[pageHeader:]
	switch h := parseHeader(page[:]); {
	case native.Uint32(meta) != boltMagic && id == 0 && !e.traces():
		return boltMeta{}, &misfit{ErrForeign, "not a bbolt file"}
	case native.Uint32(meta) != boltMagic || native.Uint64(meta[metaSummed:]) != sum64(meta[:metaSummed]):
		return boltMeta{}, &spoiled{where, errors.New("a wrong checksum")}
	case h.id != id || h.flags != flagMeta:
		return boltMeta{}, &spoiled{where, errNotThisPage}
	}
	return parseMeta(meta)
}

// traces looks for a second meta page where the first one is no such page.
func (e *examiner) traces() bool {
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
		return m, &misfit{ErrForeign, fmt.Sprintf("version %d of bbolt's format", m.version)}
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0:
		return m, &spoiled{"a meta page", fmt.Errorf("pages of %d bytes", m.pageSize)}
	}
	return m, nil
}

func sum64(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return h.Sum64()
}

// size checks that the file has all its pages before any is asked for.
func (e *examiner) size() error {
	info, err := e.file.Stat()
	if err != nil {
		return err
	}
	if have := uint64(info.Size()) / uint64(e.meta.pageSize); have < e.meta.pages {
		return &spoiled{"the file", fmt.Errorf("it has %d of its %d pages", have, e.meta.pages)}
	}
	return nil
}
