package bolt

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// The names of the buckets. The checksum of a record covers the name of its bucket.
const (
	bucketMeta          = "meta"
	bucketRegistrations = "registrations"
	bucketOverrides     = "overrides"
	bucketStatuses      = "statuses"
	bucketTransitions   = "transitions"
	bucketPositions     = "positions" // this bucket exists since format 2
)

// The layout of a record: one version byte, four bytes of checksum, and text in JSON.
const (
	recordVersion = 1
	recordHeader  = 1 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the checksum of a record. It also covers the bucket and the key, so that a
// record in the place of another record counts as damage.
func checksum(bucket string, key, text []byte) uint32 {
	sum := crc32.Update(recordVersion, castagnoli, []byte(bucket))
	return crc32.Update(crc32.Update(sum, castagnoli, key), castagnoli, text)
}

// encodeRecord returns v in the form of a record: a version byte, a checksum, and v in JSON.
func encodeRecord(bucket string, key []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", placeOf(bucket, key), err)
	}
	record := make([]byte, 0, recordHeader+len(text))
	record = append(record, recordVersion)
	record = binary.BigEndian.AppendUint32(record, checksum(bucket, key, text))
	return append(record, text...), nil
}

var (
	errRecordVersion = errors.New("the version of the record is unknown")
	errChecksum      = errors.New("the checksum is wrong")
	errKey           = errors.New("the key does not belong into this bucket")
)

// decodeRecord decodes a record into v. It returns an error if the version or the checksum is
// wrong.
func decodeRecord(bucket string, key, record []byte, v any) error {
	if len(record) < recordHeader || record[0] != recordVersion {
		return &corruption{placeOf(bucket, key), errRecordVersion}
	}
	text := record[recordHeader:]
	if binary.BigEndian.Uint32(record[1:]) != checksum(bucket, key, text) {
		return &corruption{placeOf(bucket, key), errChecksum}
	}
	if err := json.Unmarshal(text, v); err != nil {
		return &corruption{placeOf(bucket, key), err}
	}
	return nil
}

// placeOf returns a text that says where a record is, for use in an error. The key is quoted,
// because the key may be damaged too.
func placeOf(bucket string, key []byte) string { return fmt.Sprintf("bucket %s, key %q", bucket, key) }

// appendID appends the key of a record about id to dst: id.Service, a zero byte, and
// id.Instance. So the keys of all instances of a service begin with the key of the service.
func appendID(dst []byte, id health.ID) []byte {
	dst = append(append(dst, id.Service...), 0)
	return append(dst, id.Instance...)
}

// idKey returns the key of a record about id, in the form that appendID writes.
func idKey(id health.ID) []byte { return appendID(nil, id) }

// checkID refuses a service name with a zero byte, whose key would be ambiguous.
func checkID(id health.ID) error {
	if strings.IndexByte(id.Service, 0) >= 0 {
		return fmt.Errorf("service name: %q has a zero byte; allowed: names without one", id.Service)
	}
	return nil
}

func parseID(key []byte) (health.ID, bool) {
	service, instance, ok := bytes.Cut(key, []byte{0})
	return health.ID{Service: string(service), Instance: string(instance)}, ok
}

// The key of a transition consists of its number (8 bytes, big-endian), its kind, and the key of
// its ID. The kind is a change, or a gap (a record of lost transitions).
const (
	seqLen     = 8
	kindChange = 't'
	kindGap    = 'g'
)

func transitionKey(t *store.Transition) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 64), t.Seq)
	kind := byte(kindChange)
	if t.Lost > 0 {
		kind = kindGap
	}
	return appendID(append(key, kind), t.ID)
}

// parseTransitionKey returns the parts of the key of a transition: its number, whether it is a gap
// (a record of lost transitions), and the key of its ID. ok is false if the key is not valid.
func parseTransitionKey(key []byte) (seq uint64, gap bool, id []byte, ok bool) {
	if len(key) <= seqLen {
		return 0, false, nil, false
	}
	kind := key[seqLen]
	return binary.BigEndian.Uint64(key), kind == kindGap, key[seqLen+1:], kind == kindGap || kind == kindChange
}

// readRegistration decodes a registration from its record and the key of this record.
func readRegistration(key, record []byte) (r store.Registration, err error) {
	r.ID, err = readWithID(bucketRegistrations, key, record, &r)
	return r, err
}

func readStatus(key, record []byte) (s store.Status, err error) {
	s.ID, err = readWithID(bucketStatuses, key, record, &s)
	return s, err
}

// readWithID decodes a record into v, and returns the ID that is encoded in the key.
func readWithID(bucket string, key, record []byte, v any) (health.ID, error) {
	id, ok := parseID(key)
	if !ok {
		return id, &corruption{placeOf(bucket, key), errKey}
	}
	return id, decodeRecord(bucket, key, record, v)
}

// readOverride decodes an override. The key of the record is the text of the scope.
func readOverride(key, record []byte) (o store.Override, err error) {
	err = decodeRecord(bucketOverrides, key, record, &o)
	o.Scope = string(key)
	return o, err
}

// readPosition decodes the position of a consumer. The key of the record is the name of the
// consumer.
func readPosition(key, record []byte) (p store.Position, err error) {
	err = decodeRecord(bucketPositions, key, record, &p)
	p.Consumer = string(key)
	return p, err
}

func readTransition(key, record []byte) (t store.Transition, err error) {
	seq, gap, name, ok := parseTransitionKey(key)
	if !ok {
		return t, &corruption{placeOf(bucketTransitions, key), errKey}
	}
	if err := decodeRecord(bucketTransitions, key, record, &t); err != nil {
		return t, err
	}
	t.Seq = seq
	t.ID, ok = parseID(name)
	if !ok || gap != (t.Lost > 0) {
		return t, &corruption{placeOf(bucketTransitions, key), errKey}
	}
	return t, nil
}

// putRecord stores v under the given key in b. bucket is the name of b, which is a part of the
// checksum.
func putRecord(b *bbolt.Bucket, bucket string, key []byte, v any) error {
	record, err := encodeRecord(bucket, key, v)
	if err != nil {
		return err
	}
	return b.Put(key, record)
}

// loadAll reads all records of a bucket, decodes each with the function decode, and appends the
// results to dst.
func loadAll[T any](tx *bbolt.Tx, bucket string, dst *[]T, decode func(key, record []byte) (T, error)) error {
	return tx.Bucket([]byte(bucket)).ForEach(func(key, record []byte) error {
		v, err := decode(key, record)
		*dst = append(*dst, v)
		return err
	})
}

// loadOne reads the record of a key, if there is one, decodes this record with the function
// decode, and appends the result to dst.
func loadOne[T any](tx *bbolt.Tx, bucket string, key []byte, dst *[]T, decode func(key, record []byte) (T, error)) error {
	record := tx.Bucket([]byte(bucket)).Get(key)
	if record == nil {
		return nil
	}
	v, err := decode(key, record)
	*dst = append(*dst, v)
	return err
}
