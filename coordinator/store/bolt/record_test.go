package bolt

import (
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

// encodeText returns a record of any text, with the right checksum.
func encodeText(bucket string, key []byte, text string) []byte {
	record := binary.BigEndian.AppendUint32([]byte{recordVersion}, checksum(bucket, key, []byte(text)))
	return append(record, text...)
}

func FuzzRecord(f *testing.F) {
	image := sampleBatch(40)
	for i, v := range []any{image.PutRegistrations[0], image.PutOverrides[0], image.PutStatuses[0], image.Transitions[0]} {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), []byte("pay\x001"), string(b), []byte("\x01????{}"))
	}
	f.Add(uint8(3), transitionKey(&store.Transition{Seq: 1, Lost: 2}), `{"lost":2}`, []byte{})
	f.Add(uint8(0), []byte("pay"), `{"labels":{"":"\ud800"}}`, []byte("\x01"))
	f.Fuzz(func(t *testing.T, kind uint8, key []byte, text string, raw []byte) {
		switch kind % 4 {
		case 0:
			fuzzRecord(t, bucketRegistrations, readRegistration, key, text, raw)
		case 1:
			fuzzRecord(t, bucketOverrides, readOverride, key, text, raw)
		case 2:
			fuzzRecord(t, bucketStatuses, readStatus, key, text, raw)
		default:
			fuzzRecord(t, bucketTransitions, readTransition, key, text, raw)
		}
	})
}

// fuzzRecord reads any bytes, and any text with a right checksum. A record that can be
// read must be the same after it was written and read again.
func fuzzRecord[T any](t *testing.T, bucket string, read func(key, record []byte) (T, error), key []byte, text string, raw []byte) {
	if _, err := read(key, raw); err != nil && !isDamage(err) {
		t.Errorf("%q: %v", raw, err)
	}
	once, err := read(key, encodeText(bucket, key, text))
	if err != nil {
		if !isDamage(err) {
			t.Errorf("%q: %v", text, err)
		}
		return
	}
	record, err := encodeRecord(bucket, key, once)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := read(key, record)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(once)
	b, _ := json.Marshal(twice)
	if string(a) != string(b) {
		t.Errorf("%s\nread again is\n%s", a, b)
	}
}

func TestRecordAtAnotherPlace(t *testing.T) {
	record, err := encodeRecord(bucketStatuses, idKey(killID(1)), &store.Status{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readStatus(idKey(killID(1)), record); err != nil {
		t.Error(err)
	}
	if _, err := readStatus(idKey(killID(2)), record); !isDamage(err) {
		t.Errorf("under another key: %v", err)
	}
	if _, err := readOverride(idKey(killID(1)), record); !isDamage(err) {
		t.Errorf("in another bucket: %v", err)
	}
	for i := range record {
		if _, err := readStatus(idKey(killID(1)), flipped(record, i, 1)); !isDamage(err) {
			t.Errorf("with byte %d flipped: %v", i, err)
		}
	}
}
