package sim

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

var errTurned = errors.New("the feed has ended")

// listener is a reader that sleeps until there is something for it, and must be
// woken at once then.
type listener struct {
	b        *bubble
	interest feed.Interest
	known    map[health.ID]uint64
	cursor   feed.Cursor
	from     *feed.Feed
	cancel   context.CancelCauseFunc
	running  sync.WaitGroup
}

// listen begins with readers of all, of one service, of two, and of the mesh.
func (b *bubble) listen() {
	for _, services := range [][]string{nil, {"s0"}, {"s1"}, {"s2", "s3"}, {health.MeshName}, {""}} {
		l := &listener{b: b, interest: feed.Interest{Services: services}, known: map[health.ID]uint64{}}
		b.readers = append(b.readers, l)
		l.turn(b.Feed())
	}
}

// turn goes on with another feed.
func (l *listener) turn(f *feed.Feed) {
	l.end()
	var ctx context.Context
	ctx, l.cancel = context.WithCancelCause(l.b.t.Context())
	r := f.Resume(l.interest, l.cursor)
	if l.from == nil {
		r = f.NewReader(l.interest)
	}
	l.from = f
	l.running.Go(func() {
		for {
			step, err := r.Next(ctx)
			if err != nil {
				return
			}
			l.take(&step)
		}
	})
}

func (l *listener) end() {
	if l.cancel != nil {
		l.cancel(errTurned)
		l.running.Wait()
	}
}

func (l *listener) take(step *feed.Step) {
	if step.Snapshot {
		clear(l.known)
	}
	for _, e := range step.Entries {
		// The owner may have stood still before it published.
		paused := l.b.pauses.ended.Load() > e.At.UnixNano()
		if late := time.Since(e.At); late > 0 && !step.Snapshot && !paused {
			l.b.fail("woken late", "who waits for %q is told of %s after %v", l.interest.Services, e.ID, late)
		}
		l.known[e.ID] = e.Revision
		if e.Removed {
			delete(l.known, e.ID)
		}
	}
	l.cursor = feed.Cursor{Epoch: l.from.Epoch(), Revision: step.Revision}
}

// compare holds that it knows what there is.
func (l *listener) compare(b *bubble) {
	entries, _ := b.Feed().Snapshot(l.interest.Services...)
	if len(entries) != len(l.known) {
		b.fail("reader", "who reads %q knows %d names, there are %d", l.interest.Services, len(l.known), len(entries))
	}
	for _, e := range entries {
		if l.known[e.ID] != e.Revision {
			b.fail("reader", "who reads %q knows revision %d of %s, there is %d", l.interest.Services, l.known[e.ID], e.ID, e.Revision)
		}
	}
}
