package feed

import (
	"crypto/rand"
	"slices"
	"sync"

	"github.com/meshhealth/meshhealth/health"
)

// MaxPeriod is the longest time between two heartbeats of a reader, in beats. A beat is one
// call of Feed.Beat, usually once a second.
const MaxPeriod = 60

// DefaultMaxBytes is the size in bytes to which a feed limits its log of changes by default. Current
// entries do not count, because the feed holds them anyway.
const DefaultMaxBytes = 8 << 20

// Feed holds the current entries and a log of the last changes.
type Feed struct {
	epoch    uint64
	maxBytes int // largest size of the log in bytes
	key      health.Key

	// publishing guards the fields next, removed and dropped, which only the publisher uses. The
	// publisher holds publishing, and not mu, during work that grows with the size of a batch.
	publishing sync.Mutex
	next       *tree                // current entries, including those of the batch that is being published
	removed    map[health.ID]*Entry // removed[id] is the entry in the log that has removed the name id; absent if the name has a newer entry
	dropped    []*Batch             // batches that the log must drop to make room for the batch that is being published
	logSize    int                  // size of the log after this batch, in bytes

	// mu guards the fields below. No code that holds mu may do work that grows with the number
	// of entries or readers.
	mu     sync.Mutex
	now    Cut
	log    changeLog
	all    waker                // wakes readers that read everything, or services of several shards (groups of services)
	shards [numShards]waker     // shards[i] wakes the readers whose services are all in shard i, one group of services
	beats  [MaxPeriod + 1]waker // beats[p] wakes the readers whose heartbeat comes every p beats
	beat   uint64               // number of calls of Beat so far
}

// New returns an empty feed with a new random Key. epoch is stored in each cursor and must
// differ between two feeds. Beside the current entries, the log keeps about maxBytes bytes; 0 means
// DefaultMaxBytes.
func New(epoch uint64, maxBytes int) *Feed {
	if maxBytes == 0 {
		maxBytes = DefaultMaxBytes
	}
	return &Feed{epoch: epoch, maxBytes: maxBytes, key: NewKey(), next: newTree(), now: Cut{tree: newTree()}, removed: map[health.ID]*Entry{}}
}

// NewKey returns a random key.
func NewKey() health.Key {
	var secret [health.KeyBytes]byte
	_, _ = rand.Read(secret[:])         // the result can be ignored, because rand.Read ends the process instead of failing
	key, _ := health.KeyFrom(secret[:]) // no error is possible, because the length is right
	return key
}

// Key returns the random secret of this feed. A server that serves the feed proves with the
// key that an answer comes from this feed. Registrations contain the key. Other messages and
// logs must not contain it.
func (f *Feed) Key() health.Key { return f.key }

// Epoch returns the number that New received. Readers recognize by a new epoch that the
// process has restarted.
func (f *Feed) Epoch() uint64 { return f.epoch }

// Revision returns the revision of the last published change.
func (f *Feed) Revision() uint64 { return f.Cut().revision }

// Len returns the number of current entries.
func (f *Feed) Len() int { return f.Cut().Len() }

// Cut returns an immutable view of the current entries.
func (f *Feed) Cut() Cut {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Get returns the current entry of a name.
func (f *Feed) Get(id health.ID) (*Entry, bool) { return f.Cut().Get(id) }

// Publish makes one batch of changes and wakes the readers that wait for one of the changes.
// The revisions in changes must not decrease. They must be higher than the revisions in the
// previous batch. Publish returns the batch, or nil if changes is empty.
func (f *Feed) Publish(changes []health.Change) *Batch {
	if len(changes) == 0 {
		return nil
	}
	b := seal(changes)
	f.publish(b)
	return b
}

func (f *Feed) publish(b *Batch) {
	f.publishing.Lock()
	defer f.publishing.Unlock()
	newCut := f.apply(b)
	// Closing a channel takes time for each waiting reader, so mu is not held here.
	for _, ch := range f.show(b, newCut) {
		close(ch)
	}
	f.dropped = nil
}

// apply adds the batch b to the tree f.next, and returns a Cut (an immutable view) of the new
// tree. Readers do not see the changes until show is called.
func (f *Feed) apply(b *Batch) Cut {
	replaced := 0
	for _, e := range b.Entries {
		old := f.setCurrent(e, b.Revision)
		if e.changesRegistration(old) {
			b.shards.add(registrations)
		}
		// An entry of b itself is not in the log. Only the publisher changes now and log, so it needs no lock.
		if old != nil && old.Revision > f.log.cutAll && old.Revision <= f.now.revision {
			old.size = sizeOf(&old.State, false)
			replaced += old.size
		}
	}
	b.complete()
	f.dropped, f.logSize = f.log.excess(b, replaced, f.maxBytes)
	for _, old := range f.dropped {
		f.forgetRemovals(old)
	}
	return Cut{tree: f.next.Copy(), revision: b.Revision}
}

// show makes the batch b and the view newCut visible to readers. The caller must close the
// returned channels afterwards, to wake the readers that wait for changes in b.
func (f *Feed) show(b *Batch, newCut Cut) (woken []chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = newCut
	f.log.push(b, len(f.dropped), f.logSize)
	for s := range b.shards.all {
		woken = f.shards[s].wake(woken)
	}
	return f.all.wake(woken)
}

// setCurrent makes e the current entry of its name, from the given revision on. It returns
// the entry that e replaces, or nil if the name had no current entry.
func (f *Feed) setCurrent(e *Entry, revision uint64) *Entry {
	if gone := f.removed[e.ID]; gone != nil {
		gone.replaceAt(revision)
		delete(f.removed, e.ID)
	}
	var old leaf
	if e.Removed {
		old, _ = f.next.Delete(leaf{id: e.ID})
		f.removed[e.ID] = e
	} else {
		old, _ = f.next.Set(leaf{id: e.ID, entry: e})
	}
	if old.entry != nil {
		old.entry.replaceAt(revision)
	}
	return old.entry
}

// forgetRemovals deletes the entries of b from the map f.removed. b is a batch that the log
// drops.
func (f *Feed) forgetRemovals(b *Batch) {
	for _, e := range b.Entries {
		if f.removed[e.ID] == e {
			delete(f.removed, e.ID)
		}
	}
}

// Snapshot returns the current entries of the given services, sorted by name, and the
// revision of the snapshot. If no service is given, it returns all entries.
func (f *Feed) Snapshot(services ...string) ([]*Entry, uint64) {
	c := f.Cut()
	return slices.Collect(c.Of(services...)), c.revision
}

// due returns how many heartbeats were due since the start of the feed for a reader whose
// period is given in beats. It returns 0 for the period 0.
func (f *Feed) due(period int) uint64 {
	if period == 0 {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beat / uint64(period)
}

// Beat advances the heartbeats by one beat and wakes the readers whose heartbeat is due.
// The owner of the feed calls it once a second.
func (f *Feed) Beat() {
	for _, ch := range f.nextBeat() {
		close(ch)
	}
}

// Beats returns the number of calls of Beat.
func (f *Feed) Beats() uint64 { return f.due(1) }

func (f *Feed) nextBeat() (woken []chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beat++
	for period := 1; period <= MaxPeriod; period++ {
		if f.beat%uint64(period) == 0 {
			woken = f.beats[period].wake(woken)
		}
	}
	return woken
}
