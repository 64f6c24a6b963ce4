package store

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// timeBlock is the number of transitions in one block of a TimeIndex.
const timeBlock = 256

// TimeIndex finds the transitions of a time range without a read of the whole journal. For each
// block of 256 numbers it knows the earliest and the latest time of a transition. So the result is
// right even if times decrease from one transition to the next, as after a step of the clock.
//
// An implementation of Store adds each transition before the transition can be read. The range of a
// block only grows: after a failed commit, it also covers the times of transitions that were not
// stored. A read then visits more transitions, and finds the same. The zero value is empty. Its
// methods may be called concurrently.
type TimeIndex struct {
	mu     sync.RWMutex
	blocks []timesOfBlock // ordered by number
	last   uint64         // highest Seq that was added
}

// timesOfBlock has the range of the times of the transitions whose Seq / timeBlock is number.
type timesOfBlock struct {
	number uint64
	timeSpan
}

// timeSpan is the range of several times, both ends included.
type timeSpan struct{ from, to time.Time }

// extend makes the span include a time.
func (s *timeSpan) extend(at time.Time) {
	if at.Before(s.from) {
		s.from = at
	}
	if at.After(s.to) {
		s.to = at
	}
}

// touches reports whether the span and the time range of a query have a time in common.
func (s *timeSpan) touches(q *Query) bool {
	return (q.From.IsZero() || !s.to.Before(q.From)) && (q.To.IsZero() || s.from.Before(q.To))
}

// Add adds a transition, whose Seq must be set. Transitions must be added in the order of their
// Seq, but may be added again after a failed commit.
func (x *TimeIndex) Add(t *Transition) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last = max(x.last, t.Seq)
	i, found := x.find(t.Seq / timeBlock)
	if !found {
		x.blocks = slices.Insert(x.blocks, i, timesOfBlock{t.Seq / timeBlock, timeSpan{t.At, t.At}})
	}
	x.blocks[i].extend(t.At)
	// A gap also covers the time since the transition before it, which may be in the block before.
	if first := !found || t.Seq%timeBlock == 0; t.Lost > 0 && first && i > 0 {
		x.blocks[i].extend(x.blocks[i-1].from)
		x.blocks[i].extend(x.blocks[i-1].to)
	}
}

// find returns the index of the block with this number, or the index where it would be.
func (x *TimeIndex) find(number uint64) (i int, found bool) {
	return slices.BinarySearchFunc(x.blocks, number, func(b timesOfBlock, n uint64) int { return cmp.Compare(b.number, n) })
}

// Last returns the highest Seq that was added.
func (x *TimeIndex) Last() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.last
}

// Drop forgets the blocks whose transitions all have a Seq below first.
func (x *TimeIndex) Drop(first uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, _ := x.find(first / timeBlock)
	x.blocks = slices.Delete(x.blocks, 0, i)
}

// seek returns the Seq nearest to seq, in the direction of the query, whose block may have
// transitions of the time range. This is seq itself if its own block may have some. It returns 0 if
// there is none. Blocks before the first known one, and after the last, may have some.
func (x *TimeIndex) seek(seq uint64, q *Query) uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i, found := x.find(seq / timeBlock)
	if i == len(x.blocks) || i == 0 && !found || found && x.blocks[i].touches(q) {
		return seq
	}
	if q.OldestFirst {
		for ; i < len(x.blocks); i++ {
			if b := &x.blocks[i]; b.touches(q) {
				return max(seq, b.number*timeBlock)
			}
		}
		return x.last + 1
	}
	for i--; i >= 0; i-- {
		if b := &x.blocks[i]; b.touches(q) {
			return b.number*timeBlock + timeBlock - 1
		}
	}
	return x.beforeFirst()
}

// beforeFirst returns the highest Seq before the known blocks, or 0.
func (x *TimeIndex) beforeFirst() uint64 {
	if n := x.blocks[0].number; n > 0 {
		return n*timeBlock - 1
	}
	return 0
}
