package bolt

import (
	"errors"
	"fmt"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// examine reads and checks every page and every record of the file.
func (e *examiner) examine() error {
	if err := e.readMetaPages(); err != nil {
		return err
	}
	if err := e.checkSize(); err != nil {
		return err
	}
	e.used = make([]bool, e.meta.pages)
	roots, err := e.findBuckets()
	if err != nil {
		return err
	}
	if err := e.checkBuckets(roots); err != nil {
		return err
	}
	return e.checkFreelist()
}

// findBuckets returns a map from the name of each bucket to the value that the root of the file
// stores for this name. From this value, walkBucket finds the records of the bucket.
func (e *examiner) findBuckets() (map[string][]byte, error) {
	roots := map[string][]byte{}
	err := e.walkTree(e.meta.root, nil, nil, func(el *element) error {
		if !el.bucket {
			return &corruption{placeOf("root", el.key), errors.New("it is not a bucket")}
		}
		roots[string(el.key)] = el.value
		return nil
	})
	return roots, err
}

// checkBuckets checks that the buckets are the buckets of a store, and then checks every record.
func (e *examiner) checkBuckets(roots map[string][]byte) error {
	want, err := e.readMetaBucket(roots)
	if err != nil {
		return err
	}
	names := recordBuckets(e.format)
	if len(roots) != len(names)+1 {
		return &corruption{"the file", fmt.Errorf("it has %d buckets, not %d", len(roots), len(names)+1)}
	}
	have := summary{AliveAt: want.AliveAt, LastBatch: want.LastBatch, LastSeq: want.LastSeq}
	for _, name := range names {
		if err := e.checkRecords(name, roots[name], &have); err != nil {
			return err
		}
	}
	if have != *want {
		return &corruption{"the file", fmt.Errorf("it should have %+v, and has %+v", *want, have)}
	}
	return nil
}

// readMetaBucket checks that the file is a store of a known format. It returns the summary
// record, which has the number of records of each kind.
func (e *examiner) readMetaBucket(roots map[string][]byte) (*summary, error) {
	foreign := &unsuitable{ErrForeign, "it is a bbolt file of another program"}
	value, ok := roots[bucketMeta]
	if !ok {
		return nil, foreign
	}
	meta := map[string][]byte{}
	err := e.walkBucket(bucketMeta, value, func(el *element) error {
		meta[string(el.key)] = el.value
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case string(meta[keyMagic]) != magic:
		return nil, foreign
	}
	if e.format, err = parseFormat(meta[keyFormat]); err != nil {
		return nil, err
	}
	var s summary
	return &s, decodeRecord(bucketMeta, []byte(keySummary), meta[keySummary], &s)
}

// checkRecords checks all records of one bucket, and adds their number to counted.
func (e *examiner) checkRecords(name string, value []byte, counted *summary) error {
	if value == nil {
		return &corruption{"bucket " + name, errors.New("it is missing")}
	}
	check := e.checkerOf(name, counted.LastSeq)
	return e.walkBucket(name, value, func(el *element) error {
		*counted.count(name)++
		if el.bucket {
			return &corruption{placeOf(name, el.key), errors.New("it is a bucket and not a record")}
		}
		return check(el.key, el.value)
	})
}

// checkerOf returns a function that checks one record of a bucket. The function must be called
// for the records in the order of their keys.
func (e *examiner) checkerOf(bucket string, lastSeq uint64) func(key, record []byte) error {
	switch {
	case bucket == bucketRegistrations:
		return onlyError(readRegistration)
	case bucket == bucketOverrides && e.format == 1:
		return onlyError(readOverride1)
	case bucket == bucketOverrides:
		return onlyError(readOverride)
	case bucket == bucketStatuses:
		return onlyError(readStatus)
	case bucket == bucketPositions:
		return checkPosition(lastSeq)
	default:
		return checkTransition(lastSeq, e.times)
	}
}

func onlyError[T any](read func(key, record []byte) (T, error)) func(key, record []byte) error {
	return func(key, record []byte) error {
		_, err := read(key, record)
		return err
	}
}

// checkPosition returns a function that checks one position of a consumer. The position must
// not be higher than lastSeq, the number of the newest transition.
func checkPosition(lastSeq uint64) func(key, record []byte) error {
	return func(key, record []byte) error {
		p, err := readPosition(key, record)
		if err == nil {
			err = p.Validate(lastSeq)
		}
		if err != nil && !isDamage(err) {
			err = &corruption{placeOf(bucketPositions, key), err}
		}
		return err
	}
}

// checkTransition returns a function that is called for each transition, in the order of the
// keys. It checks that the numbers of the transitions rise and are at most lastSeq. It adds each
// transition to times.
func checkTransition(lastSeq uint64, times *store.TimeIndex) func(key, record []byte) error {
	var t store.Transition
	return func(key, record []byte) (err error) {
		before := t.Seq
		t, err = readTransition(key, record)
		if err == nil && (t.Seq <= before || t.Seq > lastSeq) {
			err = &corruption{placeOf(bucketTransitions, key), fmt.Errorf("number %d follows number %d; the last number given is %d", t.Seq, before, lastSeq)}
		}
		if err == nil {
			times.Add(&t)
		}
		return err
	}
}
