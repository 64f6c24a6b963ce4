package bolt

import (
	"bytes"
	"errors"
	"fmt"
)

// The flags of a page. Each page has exactly one of them, which says what the page contains.
const (
	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10
)

const (
	elementSize  = 16   // bytes of an element header in a branch or a leaf
	flagBucket   = 0x01 // flag of a leaf element that holds a bucket
	bucketHeader = 16   // bytes of a bucket header: root page 8, sequence 8
)

var (
	errNotThisPage = errors.New("another page is in its place")
	errTwice       = errors.New("the page is in use twice, or both free and in use")
	errRange       = errors.New("there is no such page")
	errLayout      = errors.New("the elements are not where they should be")
	errOrder       = errors.New("the keys are not in order")
	errUnreachable = errors.New("the page is neither in use nor free")
)

// header is the first part of every page.
type header struct {
	id           uint64
	flags, count uint16 // count is the number of elements in the page
	overflow     uint32 // number of following pages that continue this page
}

func parseHeader(b []byte) header {
	return header{native.Uint64(b), native.Uint16(b[8:]), native.Uint16(b[10:]), native.Uint32(b[12:])}
}

// element is one entry of a page. It describes a child page, a bucket or a record.
type element struct {
	key, value []byte
	child      uint64 // number of the child page; only for an element of a branch
	bucket     bool
}

func pageError(id uint64, what error) error {
	return &corruption{fmt.Sprintf("page %d", id), what}
}

// claimPages marks n pages as used. The first of them is the page with the number id. claimPages
// returns an error if one of these pages is already marked, or is beyond the end of the file.
func (e *examiner) claimPages(id, n uint64) error {
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

// readPage reads the page with the number id, and the overflow pages that continue this page. It
// marks all of them as used.
func (e *examiner) readPage(id uint64) (header, []byte, error) {
	if err := e.claimPages(id, 1); err != nil {
		return header{}, nil, err
	}
	var first [pageHeader]byte
	offset := int64(id) * int64(e.meta.pageSize) // #nosec G115 -- checkSize has compared all pages with the size of the file
	if _, err := e.file.ReadAt(first[:], offset); err != nil {
		return header{}, nil, err
	}
	h := parseHeader(first[:])
	if h.id != id {
		return h, nil, pageError(id, errNotThisPage)
	}
	if h.overflow > 0 {
		if err := e.claimPages(id+1, uint64(h.overflow)); err != nil {
			return h, nil, err
		}
	}
	body := make([]byte, (int64(h.overflow)+1)*int64(e.meta.pageSize))
	_, err := e.file.ReadAt(body, offset)
	return h, body, err
}

// parseElements reads the elements of a branch or leaf. It accepts only the exact layout
// that bbolt writes, because a wrong count would otherwise hide records.
func parseElements(h header, page []byte) ([]element, error) {
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

// parseElement parses the element whose header is at the start of b. want is the position in b
// at which the key of the element must begin. n is the length of the key and the value in bytes.
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

// A visit is a function that is called for every element of a bucket, in the order of the keys.
type visit func(el *element) error

func visitAll(all []element, f visit) error {
	for i := range all {
		if err := f(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// walkBucket calls f for the elements of a bucket. value is what the root of the file stores for
// the name of this bucket. It contains either the number of the bucket's root page, or 0 and a leaf
// with all elements.
func (e *examiner) walkBucket(name string, value []byte, f visit) error {
	if len(value) == bucketHeader {
		return e.walkTree(native.Uint64(value), nil, nil, f)
	}
	all, err := parseInlineBucket(value)
	if err != nil {
		return &corruption{"bucket " + name, err}
	}
	return visitAll(all, f)
}

// parseInlineBucket reads a small bucket, which has no page of its own. value is what the root of
// the file stores for the name of this bucket. It contains a leaf with all elements of the bucket.
func parseInlineBucket(value []byte) ([]element, error) {
	if len(value) < bucketHeader+pageHeader || native.Uint64(value) != 0 {
		return nil, errLayout
	}
	page := value[bucketHeader:]
	h := parseHeader(page)
	if h.id != 0 || h.flags != flagLeaf || h.overflow != 0 {
		return nil, errNotThisPage
	}
	all, err := parseElements(h, page)
	if err == nil && usedBytes(all) != len(page) {
		err = errLayout
	}
	return all, err
}

// usedBytes returns the size in bytes of a leaf with the given elements, including its header.
func usedBytes(all []element) int {
	n := pageHeader + len(all)*elementSize
	for i := range all {
		n += len(all[i].key) + len(all[i].value)
	}
	return n
}

// walkTree calls f for the elements in the page with the number id and in the pages below this
// page. It returns an error if a key is less than low, or not less than high. If high is nil, there
// is no upper bound.
func (e *examiner) walkTree(id uint64, low, high []byte, f visit) error {
	h, page, err := e.readPage(id)
	if err != nil {
		return err
	}
	if h.flags != flagBranch && h.flags != flagLeaf || h.flags == flagBranch && h.count == 0 {
		return pageError(id, errNotThisPage)
	}
	all, err := parseElements(h, page)
	if err != nil {
		return pageError(id, err)
	}
	if !keysWithin(all, low, high) {
		return pageError(id, errOrder)
	}
	if h.flags == flagLeaf {
		return visitAll(all, f)
	}
	return e.walkChildren(all, high, f)
}

func keysWithin(all []element, low, high []byte) bool {
	if len(all) == 0 {
		return true
	}
	return bytes.Compare(all[0].key, low) >= 0 && (high == nil || bytes.Compare(all[len(all)-1].key, high) < 0)
}

func (e *examiner) walkChildren(all []element, high []byte, f visit) error {
	for i := range all {
		next := high
		if i+1 < len(all) {
			next = all[i+1].key
		}
		if err := e.walkTree(all[i].child, all[i].key, next, f); err != nil {
			return err
		}
	}
	return nil
}

// checkFreelist checks that every page is either in use or free. If a page were both, bbolt could
// overwrite its content. All pages in use must be marked (see claimPages) before checkFreelist
// is called.
func (e *examiner) checkFreelist() error {
	free, err := e.readFreelist()
	if err != nil {
		return err
	}
	for _, id := range free {
		if err := e.claimPages(id, 1); err != nil {
			return err
		}
	}
	for id := uint64(2); id < e.meta.pages; id++ {
		if e.meta.freelist != noFreelist && !e.used[id] {
			return pageError(id, errUnreachable)
		}
	}
	return nil
}

// readFreelist returns the numbers of the free pages. It returns nil if the file has no freelist,
// because some tools write files without one. bbolt itself computes the free pages of such files.
func (e *examiner) readFreelist() ([]uint64, error) {
	if e.meta.freelist == noFreelist {
		return nil, nil
	}
	h, page, err := e.readPage(e.meta.freelist)
	if err != nil {
		return nil, err
	}
	if h.flags != flagFreelist {
		return nil, pageError(h.id, errNotThisPage)
	}
	ids, n := page[pageHeader:], uint64(h.count)
	if n == 0xFFFF { // the count does not fit into the header, so the first item of the list is the count
		n, ids = native.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return nil, pageError(h.id, fmt.Errorf("it cannot hold %d free pages", n))
	}
	free := make([]uint64, n)
	for i := range free {
		free[i] = native.Uint64(ids[8*i:])
	}
	return free, nil
}
