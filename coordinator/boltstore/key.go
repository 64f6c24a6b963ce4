package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// The kinds of transitions, as they are told apart in keys.
const (
	kindChange = 't'
	kindGap    = 'g'
)

const seqLen = 8

// appendID appends the key of an instance: its service, a zero byte, and its
// name. All keys of a service begin with appendID of the service.
func appendID(dst []byte, id health.ID) []byte {
	dst = append(append(dst, id.Service...), 0)
	return append(dst, id.Instance...)
}

func idKey(id health.ID) []byte { return appendID(nil, id) }

// checkID refuses what could not be told apart in a key.
func checkID(id health.ID) error {
	if strings.IndexByte(id.Service, 0) >= 0 {
		return fmt.Errorf("boltstore: the service name %q has a zero byte", id.Service)
	}
	return nil
}

func parseID(key []byte) (health.ID, bool) {
	service, instance, ok := bytes.Cut(key, []byte{0})
	return health.ID{Service: string(service), Instance: string(instance)}, ok
}

// transitionKey sorts by number. The kind and the name follow, so that a query
// need not read the record.
func transitionKey(t *store.Transition) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 64), t.Seq)
	kind := byte(kindChange)
	if t.Lost > 0 {
		kind = kindGap
	}
	return appendID(append(key, kind), t.ID)
}

// parseTransitionKey returns a key's number, whether it is a gap's, and the
// part that is the name's.
func parseTransitionKey(key []byte) (seq uint64, gap bool, id []byte, ok bool) {
	if len(key) <= seqLen {
		return 0, false, nil, false
	}
	kind := key[seqLen]
	return binary.BigEndian.Uint64(key), kind == kindGap, key[seqLen+1:], kind == kindGap || kind == kindChange
}
