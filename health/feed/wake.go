package feed

import "hash/maphash"

// numShards is the number of shards. A shard is a group of services. Each shard has its own
// waker, so that a change of a service wakes only the readers of its shard.
const numShards = 256

var shardSeed = maphash.MakeSeed()

// shardOf returns the shard to which a service belongs.
func shardOf(service string) uint8 { return uint8(maphash.String(shardSeed, service)) }

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
