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

// listener is a reader that sleeps until the feed has a change that interests it. The feed must
// wake it at the time of the change.
type listener struct {
	b        *bubble
	interest feed.Interest
	known    map[health.ID]uint64
	cursor   feed.Cursor
	from     *feed.Feed
	cancel   context.CancelCauseFunc
	running  sync.WaitGroup
}

// listen starts six readers. They read all entries, those of one service (twice), those of two
// services, those of the mesh, and those of the coordinator itself.
func (b *bubble) listen() {
	for _, services := range [][]string{nil, {"s0"}, {"s1"}, {"s2", "s3"}, {health.MeshName}, {""}} {
		l := &listener{b: b, interest: feed.Interest{Services: services}, known: map[health.ID]uint64{}}
		b.readers = append(b.readers, l)
		l.readFrom(b.Feed())
	}
}

// readFrom makes the listener continue with the feed of a new registry.
func (l *listener) readFrom(f *feed.Feed) {
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
			l.readStep(&step)
		}
	})
}

func (l *listener) end() {
	if l.cancel != nil {
		l.cancel(errTurned)
		l.running.Wait()
	}
}

func (l *listener) readStep(step *feed.Step) {
	if step.Snapshot {
		clear(l.known)
	}
	for e := range step.Entries {
		// A pause of the owner may have delayed the publication.
		paused := l.b.pauses.ended.Load() > e.At.UnixNano()
		if late := time.Since(e.At); late > 0 && !step.Snapshot && !paused {
			l.b.fail("woken late", "the reader of %q gets a change of %s after %v", l.interest.Services, e.ID, late)
		}
		l.known[e.ID] = e.Revision
		if e.Removed {
			delete(l.known, e.ID)
		}
	}
	l.cursor = feed.Cursor{Epoch: l.from.Epoch(), Revision: step.Revision}
}

// compare checks that the listener has received the last revision of each published entry.
func (l *listener) compare(b *bubble) {
	entries, _ := b.Feed().Snapshot(l.interest.Services...)
	if len(entries) != len(l.known) {
		b.fail("reader", "the reader of %q knows %d names, there are %d", l.interest.Services, len(l.known), len(entries))
	}
	for _, e := range entries {
		if l.known[e.ID] != e.Revision {
			b.fail("reader", "the reader of %q knows revision %d of %s, published is %d", l.interest.Services, l.known[e.ID], e.ID, e.Revision)
		}
	}
}
