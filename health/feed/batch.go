package feed

import (
	"iter"
	"slices"
	"sync/atomic"

	"github.com/meshhealth/meshhealth/health"
)

// Format is a wire format in which entries and batches are encoded.
type Format uint8

// The formats. Each new format needs a constant before numFormats.
const (
	// Protobuf is the format in which each entry is encoded as an element of the repeated field
	// "entries" of the message meshhealth.v1.WatchResponse.
	Protobuf Format = iota
	// JSON is the format in which each entry is an element of the array "entries" of the same
	// message in proto JSON. A comma comes before each element. The first comma is not sent.
	//
	// JSON is several times larger than Protobuf. So only current entries, removals in the log and
	// the newest batches keep these bytes.
	JSON
	numFormats // the number of formats
)

// Audience is a group of callers who may see the same details.
type Audience uint8

// The audiences. Public is the zero value, so that details are not shown by mistake.
const (
	// Public is the audience that may not see reasons and addresses.
	Public Audience = iota
	// Reasons is the audience that may also see reasons, but not addresses.
	Reasons
	// Full is the audience that may see everything.
	Full
	numAudiences // the number of audiences
)

// Encoding is a format and an audience. Readers with the same Encoding share the encoded
// bytes of an entry. Readers with different Encodings never share bytes.
type Encoding struct {
	Format   Format
	Audience Audience
	// Routes is true for readers that also see the addresses for traffic. It has no meaning for Full.
	Routes bool
	// Filtered is true for readers that may not read every name. Their entries say nothing about other
	// names and about the number of changes of others.
	Filtered bool
	// NoServiceZones is true if a batch is encoded without services in zones. An entry is the same with and
	// without it, so that readers of entries leave it out.
	NoServiceZones bool
}

// maxCopies is the largest number of encodings in one format whose bytes are stored. There are more encodings
// than that, but a mesh has few groups of callers with different rights. Bytes beyond it are encoded again.
const maxCopies = 3

// slots has the encoded bytes of one entry or batch, by encoding. A reader that needs bytes which are missing
// encodes and stores them.
type slots struct{ first atomic.Pointer[slot] }

// slot has the bytes in one encoding. It is immutable.
type slot struct {
	encoding Encoding
	bytes    []byte
	next     *slot
}

// dropJSON removes the bytes in the format JSON.
func (s *slots) dropJSON() {
	for {
		before := s.first.Load()
		var rest *slot
		found := false
		for at := before; at != nil; at = at.next {
			if at.encoding.Format == JSON {
				found = true
				continue
			}
			rest = &slot{at.encoding, at.bytes, rest}
		}
		if !found || s.first.CompareAndSwap(before, rest) {
			return
		}
	}
}

// drop removes the bytes in all formats.
func (s *slots) drop() { s.first.Store(nil) }

// get returns the bytes in an encoding. Two readers may encode at the same time. Both results are equal, so it
// does not matter which of them is used.
func (s *slots) get(e Encoding, encode func() []byte) []byte {
	if have := s.first.Load().find(e); have != nil {
		return have.bytes
	}
	b := encode()
	for {
		before := s.first.Load()
		if have := before.find(e); have != nil {
			return have.bytes
		}
		if before.copies(e) >= maxCopies || s.first.CompareAndSwap(before, &slot{e, b, before}) {
			return b
		}
	}
}

// find returns the slot of an encoding, or nil.
func (s *slot) find(e Encoding) *slot {
	for ; s != nil; s = s.next {
		if s.encoding == e {
			return s
		}
	}
	return nil
}

// copies returns the number of slots in the format of an encoding.
func (s *slot) copies(e Encoding) (n int) {
	for ; s != nil; s = s.next {
		if s.encoding.Format == e.Format && s.encoding.NoServiceZones == e.NoServiceZones {
			n++
		}
	}
	return n
}

// Entry is one published state.
type Entry struct {
	health.Change
	slots slots
	// until is the revision of the batch that replaced this entry by a newer entry of the same
	// name. It is 0 while this entry is current.
	until atomic.Uint64
	// size is the memory that only the log needs for this entry, in bytes: 0 while the entry is current.
	// Only the publisher uses it.
	size int
}

// currentAt reports whether e was the newest entry of its name at the given revision. The
// revision must not be lower than the revision of e.
func (e *Entry) currentAt(revision uint64) bool {
	until := e.until.Load()
	return until == 0 || until > revision
}

// replaceAt says that e is no longer current from the given revision on.
func (e *Entry) replaceAt(revision uint64) {
	e.until.Store(revision)
	e.slots.dropJSON()
}

// changesRegistration reports whether the registration or the field Pushed of an instance
// differs between old and e. old is the previous entry of the same name, or nil.
func (e *Entry) changesRegistration(old *Entry) bool {
	return e.Spec != nil && (old == nil || e.Removed || e.Spec != old.Spec || e.Pushed != old.Pushed)
}

// Encoded returns the bytes that the function encode returns for e. It stores the bytes, one
// copy for each encoding, so that later calls with the same encoding need not call encode. If
// readers call Encoded at the same time, it may call encode more than once. The result of
// encode must depend only on e and encoding.
func (e *Entry) Encoded(encoding Encoding, encode func(*Entry) []byte) []byte {
	encoding.NoServiceZones = false
	b := e.slots.get(encoding, func() []byte { return encode(e) })
	if encoding.Format == JSON && e.until.Load() != 0 {
		e.slots.dropJSON() // replaceAt may have dropped the bytes before get has stored them
	}
	return b
}

// Batch is the set of changes that one call of Publish has published. It has at most one
// entry per name.
type Batch struct {
	Entries []*Entry
	// Revision is the revision of the last change in the batch.
	Revision uint64

	all    iter.Seq[*Entry] // iterator over Entries, made once, because every reader that receives the whole batch uses it
	shards shardSet         // shards (groups of services) to which the changes of the batch belong
	slots  slots
	old    atomic.Bool // true if b may keep no bytes, because it is not one of the newest batches
}

// retire says that b is no longer one of the newest batches.
func (b *Batch) retire() {
	b.old.Store(true)
	b.slots.drop()
}

// Encoded returns the bytes that the function encode returns for b. It stores the bytes for
// later calls with the same encoding, in the same way as [Entry.Encoded].
func (b *Batch) Encoded(encoding Encoding, encode func(*Batch) []byte) []byte {
	bytes := b.slots.get(encoding, func() []byte { return encode(b) })
	if b.old.Load() {
		b.slots.drop() // retire may have dropped the bytes before get has stored them
	}
	return bytes
}

// seal returns a batch with one entry for each change. Feed.apply sets the other fields of the
// batch.
func seal(changes []health.Change) *Batch {
	b := &Batch{Entries: make([]*Entry, len(changes)), Revision: changes[len(changes)-1].Revision}
	for i := range changes {
		b.Entries[i] = &Entry{Change: changes[i]}
	}
	return b
}

// weight returns an upper bound for the memory that would be free without b, in bytes. Current entries
// do not count, because the tree of the feed has them too.
func (b *Batch) weight() int {
	n := batchBytes
	for _, e := range b.Entries {
		n += e.size
	}
	return n
}

// complete removes each entry that a later entry of the same batch has replaced. It sets the
// fields that depend on the remaining entries. The batch must not be published yet.
func (b *Batch) complete() {
	b.Entries = slices.DeleteFunc(b.Entries, func(e *Entry) bool { return e.until.Load() != 0 })
	for _, e := range b.Entries {
		if e.Removed {
			e.size = sizeOf(&e.State, true)
		}
		b.shards.add(shardOf(e.ID.Service))
	}
	b.all = slices.Values(b.Entries)
}
