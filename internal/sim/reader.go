package sim

import (
	"context"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

const compareEvery = 5 * time.Second

// newReaders returns readers of the feed that differ in interests, audiences and speeds.
func newReaders(w *world) []*reader {
	some := feed.Interest{}
	for i, s := range w.services {
		if i%3 == 0 {
			some.Services = append(some.Services, s.Name)
		}
	}
	return []*reader{
		{name: "fast", audience: feed.Full},
		{name: "public", audience: feed.Public, every: 500 * time.Millisecond},
		{name: "some", audience: feed.Public, interest: some},
		{name: "slow", audience: feed.Full, every: 23 * time.Second},
		{name: "resuming", audience: feed.Full, every: 3 * time.Second, resumes: true},
		{name: "some, late", audience: feed.Public, interest: some, every: 70 * time.Second, resumes: true},
	}
}

// ended is a context that has already ended, so that a read of the feed never waits.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// read reads all new entries of the feed. It does nothing before the time r.lookAt.
func (r *reader) read(w *world) {
	if w.now < r.lookAt {
		return
	}
	r.lookAt = w.now + r.every
	r.attachTo(w)
	for w.fault == nil {
		step, err := r.reads.Next(ended)
		if err != nil {
			break
		}
		r.readStep(w, &step)
	}
	if w.now >= r.compareAt {
		r.compareAt = w.now + compareEvery
		r.compare(w)
	}
}

// attachTo gives r a new feed.Reader if the coordinator has a new feed, or if r.resumes is
// true. The first feed.Reader of r begins with a snapshot. Each later one resumes at r.cursor.
func (r *reader) attachTo(w *world) {
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

// readStep checks the order and the completeness of one step that r has read from the feed.
func (r *reader) readStep(w *world, step *feed.Step) {
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
		step.Batch.Encoded(feed.Encoding{Audience: r.audience}, encodeBatch(r.audience))
	}
	for e := range step.Entries {
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
	if got := e.Encoded(feed.Encoding{Audience: r.audience}, encode(r.audience)); len(got) == 0 || feed.Audience(got[0]) != r.audience {
		w.fail("audience", "%s reader gets %q of %s", r.name, got, e.ID)
	}
}

// encode returns an encoder for entries of the feed. The public audience must not receive
// reasons, so the encoder adds the reason only for the audience feed.Full.
func encode(audience feed.Audience) func(*feed.Entry) []byte {
	return func(e *feed.Entry) []byte {
		b := append(make([]byte, 0, 32), byte(audience), byte(e.Status))
		if audience == feed.Full {
			b = append(b, e.Reason...)
		}
		return b
	}
}

func encodeBatch(audience feed.Audience) func(*feed.Batch) []byte {
	return func(b *feed.Batch) []byte { return []byte{byte(audience), byte(len(b.Entries))} }
}

// compare compares the revisions of all entries that r has received with the published
// revisions. It must be called when r has just read all new entries.
func (r *reader) compare(w *world) {
	n := 0
	for _, in := range w.all {
		if rec := w.oracle.records[in.id]; rec != nil && r.wants(in.id.Service) {
			n++
			r.same(w, in.id, rec.state.Revision)
		}
	}
	for id, s := range w.oracle.aggregates {
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
