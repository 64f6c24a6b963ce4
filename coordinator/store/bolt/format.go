package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// The keys of the bucket "meta". keyMagic and keyFormat never change, because every release
// must be able to read them in a file of any format.
const (
	keyMagic   = "magic"
	keyFormat  = "format" // key of the format number, whose value has four bytes, big-endian
	keySummary = "state"
)

const (
	magic = "meshhealth coordinator store"
	// format is the number of the file format that this release writes. Format 2 added the
	// positions of consumers, the ID of the last batch, and the scope of actions on overrides.
	// It also changed the key of an override to the text of its scope.
	format = 2
)

// recordBuckets returns the names of the buckets in a format, except for the bucket "meta".
func recordBuckets(format uint32) []string {
	all := []string{bucketRegistrations, bucketOverrides, bucketStatuses, bucketTransitions}
	if format >= 2 {
		all = append(all, bucketPositions)
	}
	return all
}

// summary is the record that every commit writes. It has the number of records of each kind,
// which reveals that bbolt has lost a page without an error. LastSeq is the number of the
// newest transition. It is stored so that no number is used twice, even if all transitions were
// dropped from the journal.
type summary struct {
	AliveAt       time.Time `json:"alive_at,omitzero"`
	LastBatch     uint64    `json:"last_batch,omitempty"`
	LastSeq       uint64    `json:"last_seq"`
	Registrations int       `json:"registrations"`
	Overrides     int       `json:"overrides"`
	Statuses      int       `json:"statuses"`
	Transitions   int       `json:"transitions"`
	Positions     int       `json:"positions"`
}

// count returns a pointer to the field of s that counts the records of a bucket.
func (s *summary) count(bucket string) *int {
	switch bucket {
	case bucketRegistrations:
		return &s.Registrations
	case bucketOverrides:
		return &s.Overrides
	case bucketStatuses:
		return &s.Statuses
	case bucketPositions:
		return &s.Positions
	default:
		return &s.Transitions
	}
}

func bucketOf(tx *bbolt.Tx, name string) *bbolt.Bucket { return tx.Bucket([]byte(name)) }

func readSummary(tx *bbolt.Tx) (summary, error) {
	var s summary
	err := decodeRecord(bucketMeta, []byte(keySummary), bucketOf(tx, bucketMeta).Get([]byte(keySummary)), &s)
	return s, err
}

func writeSummary(tx *bbolt.Tx, s *summary) error {
	record, err := encodeRecord(bucketMeta, []byte(keySummary), s)
	if err != nil {
		return err
	}
	return bucketOf(tx, bucketMeta).Put([]byte(keySummary), record)
}

var errNoFormat = errors.New("it is not a format number")

// parseFormat parses the format number in the meta bucket. It returns an error for a number that
// no release has written, and for a later format.
func parseFormat(value []byte) (uint32, error) {
	place := placeOf(bucketMeta, []byte(keyFormat))
	if len(value) != 4 {
		return 0, &corruption{place, errNoFormat}
	}
	switch n := binary.BigEndian.Uint32(value); {
	case n > format:
		return n, &unsuitable{ErrNewerFormat, fmt.Sprintf("format is %d; allowed: 1 to %d", n, format)}
	case n == 0:
		return n, &corruption{place, errNoFormat}
	default:
		return n, nil
	}
}

func writeFormat(tx *bbolt.Tx) error {
	return bucketOf(tx, bucketMeta).Put([]byte(keyFormat), binary.BigEndian.AppendUint32(nil, format))
}

// createBuckets makes an empty store of the current format.
func createBuckets(tx *bbolt.Tx) error {
	for _, name := range append(recordBuckets(format), bucketMeta) {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	if err := bucketOf(tx, bucketMeta).Put([]byte(keyMagic), []byte(magic)); err != nil {
		return err
	}
	if err := writeFormat(tx); err != nil {
		return err
	}
	return writeSummary(tx, &summary{})
}
