package sim

import (
	"context"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// reader reads the coordinator's feed, as fast as it likes, and knows only what
// it was told.
type reader struct {
	name     string
	interest feed.Interest
	key      feed.Key
	every    time.Duration // 0: whenever there is something
	resumes  bool          // it goes away between two looks

	from   *feed.Feed
	reads  *feed.Reader
	cursor feed.Cursor
	known  map[health.ID]uint64
	lookAt time.Duration
	// compareAt is when all it knows is compared again.
	compareAt time.Duration
	placed    bool // it has had a snapshot of this epoch
}

const compareEvery = 5 * time.Second

// newReaders makes one of each kind.
func newReaders(w *world) []*reader {
	some := feed.Interest{}
	for i, s := range w.services {
		if i%3 == 0 {
			some.Services = append(some.Services, s.Name)
		}
	}
	return []*reader{
		{name: "fast", key: feed.Full},
		{name: "public", key: feed.Public, every: 500 * time.Millisecond},
		{name: "some", key: feed.Public, interest: some},
		{name: "slow", key: feed.Full, every: 23 * time.Second},
		{name: "resuming", key: feed.Full, every: 3 * time.Second, resumes: true},
		{name: "some, late", key: feed.Public, interest: some, every: 70 * time.Second, resumes: true},
	}
}

// ended is a context in which nobody waits.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// look reads all there is, if it is time to.
func (r *reader) look(w *world) {
	if w.now < r.lookAt {
		return
	}
	r.lookAt = w.now + r.every
	r.attach(w)
	for w.fault == nil {
		step, err := r.reads.Next(ended)
		if err != nil {
			break
		}
		r.take(w, &step)
	}
	if w.now >= r.compareAt {
		r.compareAt = w.now + compareEvery
		r.compare(w)
	}
}

// attach begins to read, or goes on where the reader was.
func (r *reader) attach(w *world) {
	f := w.coord.feed
	if r.from == f && !r.resumes {
		return
	}
	r.placed = r.placed && r.from == f
	if r.known == nil {
		r.reads = f.NewReader(r.interest)
		r.known = map[health.ID]uint64{}
	} else {
		r.reads = f.Resume(r.interest, r.cursor)
	}
	r.from = f
}

// take holds what every step promises.
func (r *reader) take(w *world, step *feed.Step) {
	before := r.cursor
	r.cursor = feed.Cursor{Epoch: r.from.Epoch(), Revision: step.Revision}
	again := before != feed.Cursor{}
	switch {
	case step.Snapshot && again && !step.Gap:
		w.fail("gap", "%s reader: a snapshot in place of what came after %+v, and no word that something is missing", r.name, before)
	case step.Snapshot:
		clear(r.known)
		r.placed = true
	case !r.placed:
		w.fail("resume", "%s reader goes on from %+v in epoch %d", r.name, before, r.from.Epoch())
	case step.Revision < before.Revision:
		w.fail("resume", "%s reader goes back from %d to %d", r.name, before.Revision, step.Revision)
	}
	if step.Batch != nil {
		step.Batch.Encoded(r.key, encodeBatch(r.key))
	}
	for _, e := range step.Entries {
		r.entry(w, step, e, before.Revision)
	}
}

func (r *reader) entry(w *world, step *feed.Step, e *feed.Entry, before uint64) {
	if !step.Snapshot && (e.Revision <= before || e.Revision <= r.known[e.ID]) || e.Revision > step.Revision {
		w.fail("order", "%s reader: %s has revision %d in a step from %d to %d", r.name, e.ID, e.Revision, before, step.Revision)
	}
	r.known[e.ID] = e.Revision
	if e.Removed {
		delete(r.known, e.ID)
	}
	if got := e.Encoded(r.key, encode(r.key)); len(got) == 0 || feed.Key(got[0]) != r.key {
		w.fail("audience", "%s reader gets %q of %s", r.name, got, e.ID)
	}
}

// encode is what the wire does: the public sees no texts.
func encode(key feed.Key) func(*feed.Entry) []byte {
	return func(e *feed.Entry) []byte {
		b := append(make([]byte, 0, 32), byte(key), byte(e.Status))
		if key == feed.Full {
			b = append(b, e.Reason...)
		}
		return b
	}
}

func encodeBatch(key feed.Key) func(*feed.Batch) []byte {
	return func(b *feed.Batch) []byte { return []byte{byte(key), byte(len(b.Entries))} }
}

// compare holds what a reader who is up to date knows against what was
// published.
func (r *reader) compare(w *world) {
	n := 0
	for _, in := range w.all {
		if rec := w.oracle.records[in.id]; rec != nil && r.wants(in.id.Service) {
			n++
			r.same(w, in.id, rec.state.Revision)
		}
	}
	for id, s := range w.oracle.wholes {
		if r.wants(id.Service) {
			n++
			r.same(w, id, s.Revision)
		}
	}
	if n != len(r.known) {
		w.fail("reader", "%s reader knows %d names, there are %d", r.name, len(r.known), n)
	}
}

func (r *reader) same(w *world, id health.ID, revision uint64) {
	if r.known[id] != revision {
		w.fail("reader", "%s reader knows revision %d of %s, published is %d", r.name, r.known[id], id, revision)
	}
}

func (r *reader) wants(service string) bool {
	for _, s := range r.interest.Services {
		if s == service {
			return true
		}
	}
	return len(r.interest.Services) == 0
}
