package feed

import (
	"sync"

	"github.com/meshhealth/meshhealth/health"
)

// MaxPeriod is the longest heartbeat period, in beats.
const MaxPeriod = 60

// DefaultMaxBytes bounds the log.
const DefaultMaxBytes = 8 << 20

// Feed holds the current state of everything published and a log of the last
// changes.
type Feed struct {
	epoch    uint64
	maxBytes int

	mu       sync.Mutex
	revision uint64
	groups   map[string]*group
	count    int
	log      changeLog
	all      waker
	shards   [numShards]waker
	beats    [MaxPeriod + 1]waker
	beat     uint64
}

// group is what is current of one service.
type group struct {
	entries map[string]*Entry // by instance; "" is the aggregate
}

// New returns an empty feed. Its log keeps about maxBytes; 0 means
// DefaultMaxBytes.
func New(epoch uint64, maxBytes int) *Feed {
	if maxBytes == 0 {
		maxBytes = DefaultMaxBytes
	}
	return &Feed{epoch: epoch, maxBytes: maxBytes, groups: map[string]*group{}, log: newChangeLog()}
}

// Epoch returns the random number of this feed's life.
func (f *Feed) Epoch() uint64 { return f.epoch }

// Revision returns that of the last change published.
func (f *Feed) Revision() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.revision
}

// Len returns the number of current entries.
func (f *Feed) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Publish seals changes into one batch and wakes who waits for any of them.
// Their revisions must rise. It returns the batch, nil if there is nothing.
func (f *Feed) Publish(changes []health.Change) *Batch {
	if len(changes) == 0 {
		return nil
	}
	b := seal(changes)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision = b.Revision
	for _, e := range b.Entries {
		f.keep(e)
	}
	f.log.push(b, f.maxBytes)
	for _, e := range b.Entries {
		f.shards[shardOf(e.ID.Service)].wake()
	}
	f.all.wake()
	return b
}

// keep makes e what is current of its name.
func (f *Feed) keep(e *Entry) {
	g := f.groups[e.ID.Service]
	if g == nil {
		if e.Removed {
			return
		}
		g = &group{entries: map[string]*Entry{}}
		f.groups[e.ID.Service] = g
	}
	f.count -= len(g.entries)
	if old := g.entries[e.ID.Instance]; old != nil {
		old.superseded = true
	}
	if e.Removed {
		delete(g.entries, e.ID.Instance)
	} else {
		g.entries[e.ID.Instance] = e
	}
	f.count += len(g.entries)
	if len(g.entries) == 0 {
		delete(f.groups, e.ID.Service)
	}
}

// Get returns the current entry of a name.
func (f *Feed) Get(id health.ID) (*Entry, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.groups[id.Service]
	if g == nil {
		return nil, false
	}
	e, ok := g.entries[id.Instance]
	return e, ok
}

// Snapshot returns what is current of these services, of all if there are
// none, in no order, and the revision it was cut at: a batch is in it wholly
// or not at all.
func (f *Feed) Snapshot(services ...string) ([]*Entry, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current(services), f.revision
}

func (f *Feed) current(services []string) []*Entry {
	if len(services) == 0 {
		entries := make([]*Entry, 0, f.count)
		for _, g := range f.groups {
			entries = g.appendTo(entries)
		}
		return entries
	}
	var entries []*Entry
	for _, name := range services {
		if g := f.groups[name]; g != nil {
			entries = g.appendTo(entries)
		}
	}
	return entries
}

func (g *group) appendTo(entries []*Entry) []*Entry {
	for _, e := range g.entries {
		entries = append(entries, e)
	}
	return entries
}

// due returns how many heartbeats of this period there have been.
func (f *Feed) due(period int) uint64 {
	if period == 0 {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beat / uint64(period)
}

// Beat is called once a second. It wakes the readers whose heartbeat is due.
func (f *Feed) Beat() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beat++
	for period := 1; period <= MaxPeriod; period++ {
		if f.beat%uint64(period) == 0 {
			f.beats[period].wake()
		}
	}
}
