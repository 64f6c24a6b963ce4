package boltstore

import (
	"bytes"
	"errors"
	"fmt"
)

// The kinds of pages.
const (
	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10
)

const (
	elementSize  = 16   // of branches and leaves alike
	flagBucket   = 0x01 // of a leaf's element
	bucketHeader = 16   // root 8, sequence 8
)

var (
	errNotThisPage = errors.New("another page is in its place")
	errTwice       = errors.New("in use twice, or free and in use")
	errRange       = errors.New("no such page")
	errLayout      = errors.New("its elements are not where they should be")
	errOrder       = errors.New("its keys are out of order")
)

type header struct {
	id           uint64
	flags, count uint16
	overflow     uint32
}

func parseHeader(b []byte) header {
	return header{native.Uint64(b), native.Uint16(b[8:]), native.Uint16(b[10:]), native.Uint32(b[12:])}
}

// element is one entry of a page: a child of a branch, a bucket or a record.
type element struct {
	key, value []byte
	child      uint64
	bucket     bool
}

// claim marks pages as used, each at most once.
func (e *examiner) claim(id, n uint64) error {
	if id < 2 || id >= e.meta.pages || n > e.meta.pages-id {
		return pageError(id, errRange)
	}
	for i := id; i < id+n; i++ {
		if e.used[i] {
			return pageError(i, errTwice)
		}
		e.used[i] = true
	}
	return nil
}

func pageError(id uint64, what error) error {
	return &spoiled{fmt.Sprintf("page %d", id), what}
}

// page reads a page with its overflow.
func (e *examiner) page(id uint64) (header, []byte, error) {
	if err := e.claim(id, 1); err != nil {
		return header{}, nil, err
	}
	var first [pageHeader]byte
	at := int64(id) * int64(e.meta.pageSize)
	if _, err := e.file.ReadAt(first[:], at); err != nil {
		return header{}, nil, err
	}
	h := parseHeader(first[:])
	if h.id != id {
		return h, nil, pageError(id, errNotThisPage)
	}
	if h.overflow > 0 {
		if err := e.claim(id+1, uint64(h.overflow)); err != nil {
			return h, nil, err
		}
	}
	body := make([]byte, (int64(h.overflow)+1)*int64(e.meta.pageSize))
	_, err := e.file.ReadAt(body, at)
	return h, body, err
}

// elements reads a branch or leaf, and holds it to the exact way bbolt packs
// it: a wrong count would otherwise hide records.
func elements(h header, page []byte) ([]element, error) {
	end := pageHeader + int(h.count)*elementSize
	if end > len(page) {
		return nil, errLayout
	}
	all := make([]element, h.count)
	for i := range all {
		at := pageHeader + i*elementSize
		el, n, ok := parseElement(h.flags, page[at:], end-at)
		if !ok {
			return nil, errLayout
		}
		if i > 0 && bytes.Compare(all[i-1].key, el.key) >= 0 {
			return nil, errOrder
		}
		all[i] = el
		end += n
	}
	return all, nil
}

// parseElement reads the element b begins with, whose data must begin at want,
// and returns how long that is.
func parseElement(flags uint16, b []byte, want int) (el element, n int, ok bool) {
	pos, keyLen, valueLen := native.Uint32(b[4:]), native.Uint32(b[8:]), native.Uint32(b[12:])
	kind := native.Uint32(b)
	if flags == flagBranch {
		pos, keyLen, valueLen, kind = native.Uint32(b), native.Uint32(b[4:]), 0, 0
		el.child = native.Uint64(b[8:])
	}
	if int64(pos) != int64(want) || keyLen == 0 || kind > flagBucket ||
		int64(want)+int64(keyLen)+int64(valueLen) > int64(len(b)) {
		return el, 0, false
	}
	split := want + int(keyLen)
	el.key, el.value, el.bucket = b[want:split], b[split:split+int(valueLen)], kind == flagBucket
	return el, int(keyLen) + int(valueLen), true
}
