package feed

import (
	"sort"

	"github.com/meshhealth/meshhealth/health"
)

// changeLog is the last batches, bounded by their size. It remembers up to
// which revision each shard was cut, so that a reader of quiet services does
// not take the noise of others for a gap.
type changeLog struct {
	batches []*Batch
	size    int
	cutAll  uint64
	cut     [numShards]uint64
	removed map[health.ID]*Entry // the removals in it that are the last of their name
}

func newChangeLog() changeLog { return changeLog{removed: map[health.ID]*Entry{}} }

// push appends b and lets the oldest go until the log fits.
func (l *changeLog) push(b *Batch, maxBytes int) {
	l.batches = append(l.batches, b)
	l.size += b.size
	for _, e := range b.Entries {
		l.note(e)
	}
	n := 0
	for ; l.size > maxBytes && n < len(l.batches); n++ {
		l.drop(l.batches[n])
		l.batches[n] = nil
	}
	l.batches = l.batches[n:]
}

// note keeps track of removals, which nothing current remembers.
func (l *changeLog) note(e *Entry) {
	if old := l.removed[e.ID]; old != nil {
		old.superseded = true
		delete(l.removed, e.ID)
	}
	if e.Removed {
		l.removed[e.ID] = e
	}
}

func (l *changeLog) drop(b *Batch) {
	l.size -= b.size
	l.cutAll = b.Revision
	for _, e := range b.Entries {
		l.cut[shardOf(e.ID.Service)] = b.Revision
		if l.removed[e.ID] == e {
			delete(l.removed, e.ID)
		}
	}
}

// after returns the batches that came after revision.
func (l *changeLog) after(revision uint64) []*Batch {
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].Revision > revision })
	return l.batches[i:]
}
