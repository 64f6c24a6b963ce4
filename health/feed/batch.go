package feed

import (
	"iter"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/meshhealth/meshhealth/health"
)

// Format is a wire format in which entries and batches are encoded.
type Format uint8

// The formats. Each new format needs a constant before numFormats.
const (
	// Protobuf encodes each entry as the field entries of meshhealth.v1.WatchResponse.
	Protobuf Format = iota
	numFormats
)

// Audience is a group of callers who may see the same details.
type Audience uint8

// The audiences. Public is the zero value, so that details are not shown by mistake.
const (
	// Public is the audience that may not see reasons and addresses.
	Public Audience = iota
	// Full is the audience that may see everything, also reasons and addresses.
	Full
	numAudiences
)

// Encoding is a format and an audience. Readers with the same Encoding share the encoded
// bytes of an entry. Readers with different Encodings never share bytes.
type Encoding struct {
	Format   Format
	Audience Audience
}

// slot returns the index of the encoding e in slots.
func (e Encoding) slot() int { return int(e.Format)*int(numAudiences) + int(e.Audience) }

// numEncodings is the number of encodings that one entry or batch can have.
const numEncodings = int(numFormats) * int(numAudiences)

// slots holds the encoded bytes of one entry or batch, one slot for each Encoding. A slot is
// nil until a reader needs its bytes. That reader encodes and stores them.
type slots [numEncodings]atomic.Pointer[[]byte]

func (s *slots) get(e Encoding, encode func() []byte) []byte {
	slot := &s[e.slot()]
	if p := slot.Load(); p != nil {
		return *p
	}
	// Two readers may encode at the same time. Both results are equal, so each may be stored.
	b := encode()
	slot.Store(&b)
	return b
}

// Entry is one published state.
type Entry struct {
	health.Change
	slots slots
	// until is the revision of the batch that replaced this entry by a newer entry of the same
	// name. It is 0 while this entry is current.
	until atomic.Uint64
}

// currentAt reports whether e was the newest entry of its name at the given revision. The
// revision must not be lower than the revision of e.
func (e *Entry) currentAt(revision uint64) bool {
	until := e.until.Load()
	return until == 0 || until > revision
}

// Encoded returns e in encoded form. The parameter as names the format and the audience. The
// first call with a value of as calls the function encode and stores the result. Later calls
// with this value return the stored bytes. If readers call Encoded at the same time, encode may
// run more than once. The result of encode must depend only on e and as.
func (e *Entry) Encoded(as Encoding, encode func(*Entry) []byte) []byte {
	return e.slots.get(as, func() []byte { return encode(e) })
}

// Batch is the set of changes that one call of Publish has published. It has at most one
// entry per name.
type Batch struct {
	Entries []*Entry
	// Revision is the revision of the last change in the batch.
	Revision uint64

	all     iter.Seq[*Entry]       // iterator over Entries; it is made once and all readers use it in Step.Entries
	touched [numShards / 64]uint64 // set of bits, one per shard: set if the batch has a service of the shard
	size    int                    // sum of sizeOf for all entries, in bytes
	slots   slots
}

// Encoded returns b in encoded form. It calls encode once per encoding and stores the bytes,
// in the same way as [Entry.Encoded].
func (b *Batch) Encoded(as Encoding, encode func(*Batch) []byte) []byte {
	return b.slots.get(as, func() []byte { return encode(b) })
}

// seal makes a batch from changes. If a name has several changes, the batch contains only the
// last one.
func seal(changes []health.Change) *Batch {
	b := &Batch{Entries: make([]*Entry, 0, len(changes)), Revision: changes[len(changes)-1].Revision}
	for i := range latest(changes) {
		e := &Entry{Change: changes[i]}
		b.Entries = append(b.Entries, e)
		b.size += sizeOf(&e.State)
		shard := shardOf(e.ID.Service)
		b.touched[shard/64] |= 1 << (shard % 64)
	}
	b.all = slices.Values(b.Entries)
	return b
}

// latest yields the index of the last change of each name, in ascending order.
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

// touches reports whether the batch contains a service of a shard.
func (b *Batch) touches(shard uint8) bool {
	return b.touched[shard/64]&(1<<(shard%64)) != 0
}

// shards yields each shard that has a service in the batch.
func (b *Batch) shards() iter.Seq[uint8] {
	return func(yield func(uint8) bool) {
		for i, word := range b.touched {
			for ; word != 0; word &= word - 1 {
				if !yield(uint8(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
