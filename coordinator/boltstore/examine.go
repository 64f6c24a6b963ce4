package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// examine reads everything there is.
func (e *examiner) examine() error {
	if err := e.metas(); err != nil {
		return err
	}
	if err := e.size(); err != nil {
		return err
	}
	e.used = make([]bool, e.meta.pages)
	roots, err := e.roots()
	if err != nil {
		return err
	}
	if err := e.contents(roots); err != nil {
		return err
	}
	return e.freelist()
}

// roots finds the buckets.
func (e *examiner) roots() (map[string][]byte, error) {
	roots := map[string][]byte{}
	err := e.tree(e.meta.root, nil, nil, func(el *element) error {
		if !el.bucket {
			return &spoiled{place("root", el.key), errors.New("not a bucket")}
		}
		roots[string(el.key)] = el.value
		return nil
	})
	return roots, err
}

// contents checks that the store is ours, and then every record.
func (e *examiner) contents(roots map[string][]byte) error {
	want, err := e.identity(roots)
	if err != nil {
		return err
	}
	if len(roots) != len(buckets) {
		return &spoiled{"the file", fmt.Errorf("it has %d buckets, not %d", len(roots), len(buckets))}
	}
	var have state
	have.AliveAt, have.LastSeq = want.AliveAt, want.LastSeq
	for _, name := range buckets[1:] {
		if err := e.records(name, roots[name], &have); err != nil {
			return err
		}
	}
	if have != *want {
		return &spoiled{"the file", fmt.Errorf("it should have %+v, and has %+v", *want, have)}
	}
	return nil
}

// identity reads the meta bucket.
func (e *examiner) identity(roots map[string][]byte) (*state, error) {
	foreign := &misfit{ErrForeign, "a bbolt file of another program"}
	value, is := roots[bucketMeta]
	if !is {
		return nil, foreign
	}
	meta := map[string][]byte{}
	err := e.bucket(bucketMeta, value, func(el *element) error {
		meta[string(el.key)] = el.value
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case string(meta[keyMagic]) != magic:
		return nil, foreign
	}
	return readable(meta)
}

// readable reads the state, if the format is one we know.
func readable(meta map[string][]byte) (*state, error) {
	version := meta[keyFormat]
	if len(version) != 4 {
		return nil, &spoiled{place(bucketMeta, []byte(keyFormat)), errLayout}
	}
	switch n := binary.BigEndian.Uint32(version); {
	case n > format:
		return nil, &misfit{ErrNewerFormat, fmt.Sprintf("format %d, this release knows %d", n, format)}
	case n < format:
		return nil, &spoiled{place(bucketMeta, []byte(keyFormat)), fmt.Errorf("there is no format %d", n)}
	}
	var s state
	return &s, unseal(bucketMeta, []byte(keyState), meta[keyState], &s)
}

// records reads all of one bucket, and counts them.
func (e *examiner) records(name string, value []byte, have *state) error {
	if value == nil {
		return &spoiled{"bucket " + name, errors.New("missing")}
	}
	read := reader(name, have.LastSeq)
	return e.bucket(name, value, func(el *element) error {
		*have.count(name)++
		if el.bucket {
			return &spoiled{place(name, el.key), errors.New("a bucket in place of a record")}
		}
		return read(el.key, el.value)
	})
}

// reader returns what reads a bucket's records one after the other, only to see
// whether they can be read.
func reader(bucket string, lastSeq uint64) func(key, record []byte) error {
	switch bucket {
	case bucketRegistrations:
		return discard(readRegistration)
	case bucketOverrides:
		return discard(readOverride)
	case bucketStatuses:
		return discard(readStatus)
	}
	var last uint64
	return func(key, record []byte) error {
		t, err := readTransition(key, record)
		if err == nil && (t.Seq <= last || t.Seq > lastSeq) {
			err = &spoiled{place(bucket, key), fmt.Errorf("number %d after %d, the last of all being %d", t.Seq, last, lastSeq)}
		}
		last = t.Seq
		return err
	}
}

func discard[T any](read func(key, record []byte) (T, error)) func(key, record []byte) error {
	return func(key, record []byte) error {
		_, err := read(key, record)
		return err
	}
}
