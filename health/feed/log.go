package feed

import (
	"slices"
	"sort"
)

// changeLog holds the newest batches, up to a total size. For each shard (group of services) it
// stores the revision of the last dropped batch with changes in this shard. So a reader whose
// services have not changed has no gap when other batches are dropped. Only the publisher changes
// the log, while it holds Feed.mu.
type changeLog struct {
	batches []*Batch
	size    int               // total size of batches in bytes
	cutAll  uint64            // revision of the last dropped batch; 0 if none was dropped
	cut     [numShards]uint64 // cut[i] is the revision of the last dropped batch with changes in shard i (a group of services), or 0
}

// excess returns the oldest batches that the log must drop so that b fits into the log. If b
// alone is larger than maxBytes (the largest size of the log), the result is all batches and b.
func (l *changeLog) excess(b *Batch, maxBytes int) []*Batch {
	size, n := l.size+b.size, 0
	for ; size > maxBytes && n < len(l.batches); n++ {
		size -= l.batches[n].size
	}
	if size > maxBytes {
		return append(slices.Clone(l.batches), b)
	}
	return l.batches[:n]
}

// push appends b to the log and then drops the oldest batches. dropped is the number of
// batches to drop.
func (l *changeLog) push(b *Batch, dropped int) {
	if n := len(l.batches); n > 0 {
		l.batches[n-1].retire()
	}
	l.batches = append(l.batches, b)
	l.size += b.size
	for i, old := range l.batches[:dropped] {
		l.drop(old)
		l.batches[i] = nil
	}
	l.batches = l.batches[dropped:]
}

func (l *changeLog) drop(b *Batch) {
	l.size -= b.size
	l.cutAll = b.Revision
	for s := range b.shards.all {
		l.cut[s] = b.Revision
	}
}

// after returns the batches whose Revision is higher than the parameter revision. The caller
// must not change the returned slice.
func (l *changeLog) after(revision uint64) []*Batch {
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].Revision > revision })
	return l.batches[i:]
}
