package feed

import (
	"sync/atomic"

	"github.com/meshhealth/meshhealth/health"
)

// Key names an audience. What one audience may not see must not reach it by a
// shared encoding, so each has slots of its own.
type Key uint8

// The audiences.
const (
	Public Key = iota // no texts, no addresses
	Full              // everything
	numKeys
)

// slots hold encodings, filled by the first who needs them.
type slots [numKeys]atomic.Pointer[[]byte]

func (s *slots) get(key Key, encode func() []byte) []byte {
	if p := s[key].Load(); p != nil {
		return *p
	}
	// Two may do this at once; both get the same bytes.
	b := encode()
	s[key].Store(&b)
	return b
}

// Entry is one published state.
type Entry struct {
	health.Change
	slots slots
	// superseded: something newer of the same name was published. The feed's
	// lock guards it.
	superseded bool
}

// Encoded returns what encode makes of e for this audience; it is called once
// for all readers, or a few times at once.
func (e *Entry) Encoded(key Key, encode func(*Entry) []byte) []byte {
	return e.slots.get(key, func() []byte { return encode(e) })
}

// Batch is what one Publish sealed: at most one entry per name.
type Batch struct {
	Entries []*Entry
	// Revision is that of the last change in it.
	Revision uint64

	touched [numShards / 64]uint64
	size    int
	slots   slots
}

// Encoded returns what encode makes of b for this audience; as Entry.Encoded.
func (b *Batch) Encoded(key Key, encode func(*Batch) []byte) []byte {
	return b.slots.get(key, func() []byte { return encode(b) })
}

// seal makes a batch of changes, the last of each name winning.
func seal(changes []health.Change) *Batch {
	b := &Batch{Entries: make([]*Entry, 0, len(changes)), Revision: changes[len(changes)-1].Revision}
	for i := range latest(changes) {
		e := &Entry{Change: changes[i]}
		b.Entries = append(b.Entries, e)
		b.size += sizeOf(&e.State)
		shard := shardOf(e.ID.Service)
		b.touched[shard/64] |= 1 << (shard % 64)
	}
	return b
}

// latest yields the index of the last change of each name, in order.
func latest(changes []health.Change) func(yield func(int) bool) {
	last := make(map[health.ID]int, len(changes))
	for i := range changes {
		last[changes[i].ID] = i
	}
	return func(yield func(int) bool) {
		for i := range changes {
			if last[changes[i].ID] == i && !yield(i) {
				return
			}
		}
	}
}

func (b *Batch) touches(shard uint8) bool {
	return b.touched[shard/64]&(1<<(shard%64)) != 0
}

// sizeOf estimates the bytes a state keeps alive, its encodings included.
func sizeOf(s *health.State) int {
	return 1024 + 3*len(s.Reason) + 400*len(s.Checks)
}
