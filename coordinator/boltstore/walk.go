package boltstore

import (
	"bytes"
	"errors"
	"fmt"
)

// visit is called for every element of a bucket, in the order of its keys.
type visit func(el *element) error

// bucket walks one, whose root the value of its own element tells: a page, or
// if that is 0 a small leaf that follows.
func (e *examiner) bucket(name string, value []byte, f visit) error {
	if len(value) == bucketHeader {
		return e.tree(native.Uint64(value), nil, nil, f)
	}
	all, err := inline(value)
	if err != nil {
		return &spoiled{"bucket " + name, err}
	}
	return each(all, f)
}

func inline(value []byte) ([]element, error) {
	if len(value) < bucketHeader+pageHeader || native.Uint64(value) != 0 {
		return nil, errLayout
	}
	page := value[bucketHeader:]
	h := parseHeader(page)
	if h.id != 0 || h.flags != flagLeaf || h.overflow != 0 {
		return nil, errNotThisPage
	}
	all, err := elements(h, page)
	if err == nil && end(all) != len(page) {
		err = errLayout
	}
	return all, err
}

// end returns how much of a page its elements take.
func end(all []element) int {
	n := pageHeader + len(all)*elementSize
	for i := range all {
		n += len(all[i].key) + len(all[i].value)
	}
	return n
}

func each(all []element, f visit) error {
	for i := range all {
		if err := f(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// tree walks the pages below id. Their keys are at least low and, unless that
// is nil, less than high.
func (e *examiner) tree(id uint64, low, high []byte, f visit) error {
	h, page, err := e.page(id)
	if err != nil {
		return err
	}
	if h.flags != flagBranch && h.flags != flagLeaf || h.flags == flagBranch && h.count == 0 {
		return pageError(id, errNotThisPage)
	}
	all, err := elements(h, page)
	if err != nil {
		return pageError(id, err)
	}
	if !within(all, low, high) {
		return pageError(id, errOrder)
	}
	if h.flags == flagLeaf {
		return each(all, f)
	}
	return e.children(all, high, f)
}

func within(all []element, low, high []byte) bool {
	if len(all) == 0 {
		return true
	}
	return bytes.Compare(all[0].key, low) >= 0 && (high == nil || bytes.Compare(all[len(all)-1].key, high) < 0)
}

func (e *examiner) children(all []element, high []byte, f visit) error {
	for i := range all {
		next := high
		if i+1 < len(all) {
			next = all[i+1].key
		}
		if err := e.tree(all[i].child, all[i].key, next, f); err != nil {
			return err
		}
	}
	return nil
}

// freelist checks that what bbolt may write over is exactly what is not in use.
// It comes last.
func (e *examiner) freelist() error {
	free, err := e.freePages()
	if err != nil {
		return err
	}
	for _, id := range free {
		if err := e.claim(id, 1); err != nil {
			return err
		}
	}
	for id := uint64(2); id < e.meta.pages; id++ {
		if e.meta.freelist != noFreelist && !e.used[id] {
			return pageError(id, errors.New("neither in use nor free"))
		}
	}
	return nil
}

func (e *examiner) freePages() ([]uint64, error) {
	if e.meta.freelist == noFreelist {
		return nil, nil // some tools leave it out; bbolt then finds them itself
	}
	h, page, err := e.page(e.meta.freelist)
	if err != nil {
		return nil, err
	}
	if h.flags != flagFreelist {
		return nil, pageError(h.id, errNotThisPage)
	}
	ids, n := page[pageHeader:], uint64(h.count)
	if n == 0xFFFF { // too many for the header: the first one is their number
		n, ids = native.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return nil, pageError(h.id, fmt.Errorf("%d free pages do not fit in it", n))
	}
	free := make([]uint64, n)
	for i := range free {
		free[i] = native.Uint64(ids[8*i:])
	}
	return free, nil
}
