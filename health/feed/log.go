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
	size    int               // sum of Batch.weight of all batches, in bytes
	cutAll  uint64            // revision of the last dropped batch; 0 if none was dropped
	cut     [numShards]uint64 // cut[i] is the revision of the last dropped batch with changes in shard i (a group of services), or 0
}

// excess returns the oldest batches that the log must drop so that b fits into the log, and the size of
// the log afterwards. replaced is the size of the entries in the log that b replaces. If b alone is larger
// than maxBytes (the largest size of the log), the result is all batches and b.
func (l *changeLog) excess(b *Batch, replaced, maxBytes int) (drop []*Batch, size int) {
	size, n := l.size+replaced+b.weight(), 0
	for ; size > maxBytes && n < len(l.batches); n++ {
		size -= l.batches[n].weight()
	}
	if size > maxBytes {
		return append(slices.Clone(l.batches), b), 0
	}
	return l.batches[:n], size
}

// encodedBatches is the number of the newest batches that keep encoded bytes. A reader that is further
// behind receives several batches in one step, and does not use the bytes of a batch.
const encodedBatches = 2

// push appends b to the log and then drops the oldest batches. dropped is the number of
// batches to drop, and size is the size of the log afterwards.
func (l *changeLog) push(b *Batch, dropped, size int) {
	if n := len(l.batches); n >= encodedBatches {
		l.batches[n-encodedBatches].retire()
	}
	l.batches, l.size = append(l.batches, b), size
	for i, old := range l.batches[:dropped] {
		l.drop(old)
		l.batches[i] = nil
	}
	l.batches = l.batches[dropped:]
}

func (l *changeLog) drop(b *Batch) {
	b.retire()
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
