package feed

import (
	"hash/maphash"
	"math/bits"
)

// A shard is a group of changes, for example the changes of some services. A reader that needs
// only the changes of one shard is not woken by changes of other shards.
type shard uint16

const (
	// numServiceShards is the number of shards into which the services are divided.
	numServiceShards = 256
	// registrations is the shard that has the changes of registrations of all services.
	registrations shard = numServiceShards
	numShards           = numServiceShards + 1
)

var shardSeed = maphash.MakeSeed()

// shardOf returns the shard to which the changes of a service belong.
func shardOf(service string) shard {
	return shard(maphash.String(shardSeed, service) % numServiceShards)
}

// shardSet is a set of shards, one bit for each.
type shardSet [(numShards + 63) / 64]uint64

func (s *shardSet) add(one shard) { s[one/64] |= 1 << (one % 64) }

func (s *shardSet) has(one shard) bool { return s[one/64]&(1<<(one%64)) != 0 }

// all yields the shards of the set in ascending order.
func (s *shardSet) all(yield func(shard) bool) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(shard(i*64 + bits.TrailingZeros64(word))) {
				return
			}
		}
	}
}

// waker wakes all readers that wait for its channel ch. ch is nil if no reader waits. Feed.mu
// guards ch.
type waker struct{ ch chan struct{} }

// wait returns a channel that is closed at the next wake-up.
func (w *waker) wait() <-chan struct{} {
	if w.ch == nil {
		w.ch = make(chan struct{})
	}
	return w.ch
}

// wake appends the channel of w to woken if a reader waits for this channel. The caller must
// close all channels in woken after it has unlocked Feed.mu.
func (w *waker) wake(woken []chan struct{}) []chan struct{} {
	if w.ch != nil {
		woken, w.ch = append(woken, w.ch), nil
	}
	return woken
}
