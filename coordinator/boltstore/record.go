package boltstore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	recordVersion = 1
	recordHeader  = 1 + 4 // version, checksum
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the place of a record too: one that has strayed is damage.
func checksum(bucket string, key, text []byte) uint32 {
	sum := crc32.Update(recordVersion, castagnoli, []byte(bucket))
	return crc32.Update(crc32.Update(sum, castagnoli, key), castagnoli, text)
}

// seal makes the record of v.
func seal(bucket string, key []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("boltstore: %s: %w", place(bucket, key), err)
	}
	record := make([]byte, 0, recordHeader+len(text))
	record = append(record, recordVersion)
	record = binary.BigEndian.AppendUint32(record, checksum(bucket, key, text))
	return append(record, text...), nil
}

var (
	errRecordVersion = errors.New("a record of an unknown version")
	errRecordSum     = errors.New("a wrong checksum")
)

// unseal reads a record into v.
func unseal(bucket string, key, record []byte, v any) error {
	if len(record) < recordHeader || record[0] != recordVersion {
		return &spoiled{place(bucket, key), errRecordVersion}
	}
	text := record[recordHeader:]
	if binary.BigEndian.Uint32(record[1:]) != checksum(bucket, key, text) {
		return &spoiled{place(bucket, key), errRecordSum}
	}
	if err := json.Unmarshal(text, v); err != nil {
		return &spoiled{place(bucket, key), err}
	}
	return nil
}

// spoiled is damage found at one place of the file.
type spoiled struct {
	where string
	what  error
}

// Error implements error.
func (e *spoiled) Error() string { return e.where + ": " + e.what.Error() }

// Unwrap returns what was found.
func (e *spoiled) Unwrap() error { return e.what }

// place names a record. Keys are bytes, and may be damaged themselves.
func place(bucket string, key []byte) string { return fmt.Sprintf("bucket %s, key %q", bucket, key) }
