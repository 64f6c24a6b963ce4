package feed

import "hash/maphash"

// numShards is how many groups of services have a wake-up of their own, so
// that who waits for one service is not woken by the others.
const numShards = 256

var shardSeed = maphash.MakeSeed()

func shardOf(service string) uint8 { return uint8(maphash.String(shardSeed, service)) }

// waker wakes everybody who waits. It costs nothing while nobody does. The
// feed's lock guards it.
type waker struct{ ch chan struct{} }

func (w *waker) wait() <-chan struct{} {
	if w.ch == nil {
		w.ch = make(chan struct{})
	}
	return w.ch
}

func (w *waker) wake() {
	if w.ch != nil {
		close(w.ch)
		w.ch = nil
	}
}
