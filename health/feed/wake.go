package feed

import "hash/maphash"

// numShards is the number of shards. A shard is a group of services with its own waker.
// Changes in other shards do not wake a reader of one service.
const numShards = 256

var shardSeed = maphash.MakeSeed()

// shardOf returns the shard of a service.
func shardOf(service string) uint8 { return uint8(maphash.String(shardSeed, service)) }

// waker wakes all readers that wait for its channel ch. ch is nil while no reader waits.
// Feed.mu guards it.
type waker struct{ ch chan struct{} }

// wait returns a channel. The channel is closed at the next wake-up of the waiting readers.
func (w *waker) wait() <-chan struct{} {
	if w.ch == nil {
		w.ch = make(chan struct{})
	}
	return w.ch
}

// wake appends the channel of w to woken, if a reader waits for it. The caller must close
// the channel, which wakes the readers.
func (w *waker) wake(woken []chan struct{}) []chan struct{} {
	if w.ch != nil {
		woken, w.ch = append(woken, w.ch), nil
	}
	return woken
}
