package feed

import "context"

// Interest says what a Reader wants.
type Interest struct {
	// Services are exact names; none means everything.
	Services []string
	// Period is the heartbeat, in beats: 1 to MaxPeriod; 0 means none.
	Period int
}

// Cursor is a place in a feed.
type Cursor struct {
	Epoch    uint64
	Revision uint64
}

// Step is what Next returns: a snapshot, changes, or a heartbeat.
type Step struct {
	// Batch is set when the step is exactly one whole batch; Entries are its
	// entries then.
	Batch   *Batch
	Entries []*Entry
	// Snapshot: Entries are all there is, instead of what changed.
	Snapshot bool
	// Gap: changes between the cursor and this snapshot were missed.
	Gap bool
	// Beat: nothing happened, the heartbeat is due.
	Beat bool
	// Revision is where the reader stands now.
	Revision uint64
}

// Reader reads a feed from a cursor on.
type Reader struct {
	feed     *Feed
	interest Interest
	shards   []uint8
	cursor   uint64
	placed   bool // the cursor is good; else a snapshot comes first
	gap      bool
	beats    uint64 // heartbeats due so far, of this period
}

// NewReader returns a reader that begins with a snapshot.
func (f *Feed) NewReader(in Interest) *Reader {
	r := &Reader{feed: f, interest: in, beats: f.due(in.Period)}
	for _, s := range in.Services {
		r.shards = append(r.shards, shardOf(s))
	}
	return r
}

// Resume returns a reader that goes on after c, or begins with a snapshot
// marked as a gap if that is not possible.
func (f *Feed) Resume(in Interest, c Cursor) *Reader {
	r := f.NewReader(in)
	r.cursor = c.Revision
	r.placed = c.Epoch == f.epoch && c.Revision <= f.Revision()
	r.gap = !r.placed
	return r
}

// Next waits for the next step. It returns ctx's cause when ctx ends.
func (r *Reader) Next(ctx context.Context) (Step, error) {
	for {
		step, news, beat := r.poll()
		if news == nil {
			return step, nil
		}
		select {
		case <-ctx.Done():
			return Step{}, context.Cause(ctx)
		case <-news:
		case <-beat:
		}
	}
}

// poll returns a step, or the channels to wait for.
func (r *Reader) poll() (step Step, news, beat <-chan struct{}) {
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if !r.placed || r.cut() > r.cursor {
		return r.snapshot(), nil, nil
	}
	step = r.changes()
	r.cursor = f.revision
	step.Revision = r.cursor
	if len(step.Entries) > 0 {
		return step, nil, nil
	}
	if r.interest.Period > 0 {
		// Counted rather than only woken by: news of no interest, or work on
		// other news, must not swallow a heartbeat.
		if due := f.beat / uint64(r.interest.Period); due != r.beats {
			r.beats = due
			return Step{Beat: true, Revision: r.cursor}, nil, nil
		}
		beat = f.beats[r.interest.Period].wait()
	}
	if len(r.shards) == 1 {
		return step, f.shards[r.shards[0]].wait(), beat
	}
	return step, f.all.wait(), beat
}

// cut returns up to which revision the log has lost what r reads.
func (r *Reader) cut() uint64 {
	if len(r.shards) == 0 {
		return r.feed.log.cutAll
	}
	var last uint64
	for _, s := range r.shards {
		last = max(last, r.feed.log.cut[s])
	}
	return last
}

func (r *Reader) snapshot() Step {
	f := r.feed
	step := Step{
		Entries: f.current(r.interest.Services), Snapshot: true,
		Gap: r.gap || r.placed, Revision: f.revision,
	}
	r.cursor, r.placed, r.gap = f.revision, true, false
	return step
}

// changes returns what came after the cursor, the latest of each name.
func (r *Reader) changes() Step {
	batches := r.feed.log.after(r.cursor)
	if len(batches) == 1 && len(r.shards) == 0 {
		return Step{Batch: batches[0], Entries: batches[0].Entries}
	}
	return Step{Entries: r.merge(batches)}
}

// merge returns what is of interest in them, in the order it happened. Every
// reader reads up to now: the latest of a name is what nothing came after.
func (r *Reader) merge(batches []*Batch) []*Entry {
	var merged []*Entry
	for _, b := range batches {
		if !r.touchedBy(b) {
			continue
		}
		for _, e := range b.Entries {
			if !e.superseded && r.wants(e.ID.Service) {
				merged = append(merged, e)
			}
		}
	}
	return merged
}

func (r *Reader) touchedBy(b *Batch) bool {
	for _, s := range r.shards {
		if b.touches(s) {
			return true
		}
	}
	return len(r.shards) == 0
}

func (r *Reader) wants(service string) bool {
	for _, s := range r.interest.Services {
		if s == service {
			return true
		}
	}
	return len(r.interest.Services) == 0
}
