package boltstore

import (
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// The buckets.
const (
	bucketMeta          = "meta"
	bucketRegistrations = "registrations"
	bucketOverrides     = "overrides"
	bucketStatuses      = "statuses"
	bucketTransitions   = "transitions"
)

var buckets = []string{bucketMeta, bucketRegistrations, bucketOverrides, bucketStatuses, bucketTransitions}

// What the meta bucket holds. The first two are readable in every format.
const (
	keyMagic  = "magic"
	keyFormat = "format" // four bytes, big-endian
	keyState  = "state"

	magic  = "meshhealth coordinator store"
	format = 1
)

// state is written with every commit. Its counts tell when bbolt has lost a
// page without a trace; its last number makes sure that none is given twice.
type state struct {
	AliveAt       time.Time `json:"alive_at,omitzero"`
	LastSeq       uint64    `json:"last_seq"`
	Registrations int       `json:"registrations"`
	Overrides     int       `json:"overrides"`
	Statuses      int       `json:"statuses"`
	Transitions   int       `json:"transitions"`
}

// count returns where the number of records of a bucket is kept.
func (s *state) count(bucket string) *int {
	switch bucket {
	case bucketRegistrations:
		return &s.Registrations
	case bucketOverrides:
		return &s.Overrides
	case bucketStatuses:
		return &s.Statuses
	default:
		return &s.Transitions
	}
}

func readState(tx *bbolt.Tx) (state, error) {
	var s state
	err := unseal(bucketMeta, []byte(keyState), tx.Bucket([]byte(bucketMeta)).Get([]byte(keyState)), &s)
	return s, err
}

func writeState(tx *bbolt.Tx, s *state) error {
	record, err := seal(bucketMeta, []byte(keyState), s)
	if err != nil {
		return err
	}
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyState), record)
}

// found makes an empty store.
func found(tx *bbolt.Tx) error {
	for _, name := range buckets {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	meta := tx.Bucket([]byte(bucketMeta))
	if err := meta.Put([]byte(keyMagic), []byte(magic)); err != nil {
		return err
	}
	if err := meta.Put([]byte(keyFormat), binary.BigEndian.AppendUint32(nil, format)); err != nil {
		return err
	}
	return writeState(tx, &state{})
}
