package feed

import (
	"context"
	"iter"
	"slices"

	"github.com/meshhealth/meshhealth/health"
)

// Interest says which entries and heartbeats a Reader receives.
type Interest struct {
	// Services are the names of services whose entries the reader receives. Names are the
	// names of single entries. If both are empty, the reader receives everything. If Names is
	// set, Services must be empty.
	Services []string
	Names    []health.ID
	// Registrations makes the reader wait for changes of registrations: an instance is new
	// or removed, or its field Spec or Pushed is changed. The next step of the reader has the
	// first such change and all changes after it. Services and Names must be empty.
	Registrations bool
	// Period is the heartbeat period in beats, from 1 to MaxPeriod. 0 means no heartbeats.
	Period int
	// Figures is the shortest time between two steps with Step.Figures, in beats, from 1 to
	// MaxPeriod. 0 means no such steps.
	Figures int
}

// Cursor is a position in a feed: the place after the change with this revision.
type Cursor struct {
	Epoch    uint64
	Revision uint64
}

// Step is what a reader receives from one call of Next: a snapshot, changes, or a heartbeat.
type Step struct {
	// Batch is set if the step is exactly one whole batch. In this case Entries yields the
	// entries of Batch. Batch is nil for all other steps.
	Batch *Batch
	// Entries is never nil and yields at most one entry for each name. Changes come in the
	// order of their revisions. A snapshot comes in the order of names. Entries holds no lock,
	// so the caller may read it slowly.
	Entries iter.Seq[*Entry]
	// Snapshot reports that Entries yields all current entries, and not only the changed ones.
	Snapshot bool
	// Gap reports that changes before this snapshot are lost for the reader, because the log
	// no longer has them or because the process has restarted.
	Gap bool
	// Beat reports that a heartbeat is due and that there are no changes.
	Beat bool
	// Figures reports that figures of instances are due. Such a step has no entries. Beat may be
	// true too.
	Figures bool
	// Revision is the position of the reader after this step.
	Revision uint64
}

// Reader receives the changes of a feed one step after the other, from its cursor on.
type Reader struct {
	feed     *Feed
	interest Interest // what the reader receives; the names are sorted and have no duplicates
	shards   []shard  // shards (groups of services) for which the reader waits; empty if the reader waits for everything
	cursor   uint64   // revision up to which the reader has read; valid if placed is true
	placed   bool     // false if the next step must be a snapshot
	gap      bool     // true if the next snapshot must be marked as a gap
	beats    uint64   // number of heartbeats that were due and that the reader has received or skipped
	figures  uint64   // number of the beat from which on the next step with figures is due
}

// NewReader returns a reader of the entries and heartbeats that interest selects. The first
// step of the reader is a snapshot.
func (f *Feed) NewReader(interest Interest) *Reader {
	interest.Services = sortedUnique(interest.Services)
	if len(interest.Names) > 1 {
		interest.Names = slices.CompactFunc(slices.SortedFunc(slices.Values(interest.Names), health.ID.Compare), func(a, b health.ID) bool { return a == b })
	}
	r := &Reader{feed: f, interest: interest, beats: f.due(interest.Period)}
	if interest.Figures > 0 {
		r.figures = f.due(1) + 1
	}
	for _, s := range interest.Services {
		r.shards = append(r.shards, shardOf(s))
	}
	for _, id := range interest.Names {
		r.shards = append(r.shards, shardOf(id.Service))
	}
	if interest.Registrations {
		r.shards = append(r.shards, registrations)
	}
	slices.Sort(r.shards)
	r.shards = slices.Compact(r.shards)
	return r
}

// Resume returns a reader that continues after the cursor c. The cursor must have the epoch of
// f, and its revision must not be higher than the revision of f. Otherwise the first step is a
// snapshot that is marked as a gap.
func (f *Feed) Resume(interest Interest, c Cursor) *Reader {
	r := f.NewReader(interest)
	r.cursor = c.Revision
	r.placed = c.Epoch == f.epoch && c.Revision <= f.Revision()
	r.gap = !r.placed
	return r
}

// Next waits for the next step and returns this step. If ctx ends first, Next returns the
// error context.Cause(ctx).
func (r *Reader) Next(ctx context.Context) (Step, error) {
	for {
		got := r.poll()
		if got.news == nil {
			return got.step, nil
		}
		select {
		case <-ctx.Done():
			return Step{}, context.Cause(ctx)
		case <-got.news:
		case <-got.beat:
		case <-got.figures:
		}
	}
}

// poll returns the next step without waiting. If there is no step yet, poll returns the
// channels news, beat and figures instead. When one of these channels is closed, the caller must
// call poll again. beat is nil if the reader has no heartbeats.
func (r *Reader) poll() progress {
	for {
		got := r.advance()
		if got.batches == nil {
			return got
		}
		if merged := r.merge(got.batches, got.step.Revision); len(merged) > 0 {
			return progress{step: Step{Entries: slices.Values(merged), Revision: got.step.Revision}}
		}
	}
}

// progress is the result of advance. It contains one of three things: a complete step,
// batches from which the caller makes the step, or channels for which the caller must wait.
type progress struct {
	// batches are the batches up to step.Revision that may contain entries that the reader
	// wants. If batches is nil, either step is complete or news is set.
	batches    []*Batch
	step       Step
	news, beat <-chan struct{}
	figures    <-chan struct{} // nil if the reader has no steps with figures
}

// advance moves the cursor to the current revision and selects the batches that the cursor has
// passed. It does no more work than this, because it holds Feed.mu. The caller merges the
// selected batches later.
func (r *Reader) advance() (got progress) {
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if !r.placed || r.droppedUntil() > r.cursor {
		got.step = r.snapshot()
		return got
	}
	if r.figuresDue() {
		got.step = Step{Entries: none, Figures: true, Beat: r.beatDue(), Revision: r.cursor}
		return got
	}
	from := r.cursor
	r.cursor = f.now.revision
	got.step = Step{Entries: none, Revision: r.cursor}
	batches := f.log.after(from)
	if len(batches) == 1 && len(r.shards) == 0 {
		got.step.Batch, got.step.Entries = batches[0], batches[0].all
		return got
	}
	for _, b := range batches {
		// If a batch changes a registration, all later batches belong to the step too. One of
		// them may have a newer entry for the instance, which the step must contain instead.
		if r.touchedBy(b) || r.interest.Registrations && got.batches != nil {
			got.batches = append(got.batches, b)
		}
	}
	if got.batches == nil {
		r.await(&got)
	}
	return got
}

// await sets got.step to a heartbeat if one is due. Otherwise it sets the channels in got for
// which the reader must wait. A heartbeat that becomes due while the reader is busy is not
// lost: r.beats is then lower than the number of heartbeats that were due.
func (r *Reader) await(got *progress) {
	f := r.feed
	if r.beatDue() {
		got.step.Beat = true
		return
	}
	if r.interest.Period > 0 {
		got.beat = f.beats[r.interest.Period].wait()
	}
	if r.interest.Figures > 0 {
		got.figures = r.figuresWaker().wait()
	}
	if len(r.shards) == 1 {
		got.news = f.shards[r.shards[0]].wait()
		return
	}
	got.news = f.all.wait()
}

// beatDue reports whether a heartbeat is due, and takes note of it. The caller must hold Feed.mu.
func (r *Reader) beatDue() bool {
	if r.interest.Period == 0 {
		return false
	}
	due := r.feed.beat / uint64(r.interest.Period)
	changed := due != r.beats
	r.beats = due
	return changed
}

// figuresDue reports whether figures are due, and decides when they are due next. This is at a
// multiple of the period, so that readers with equal periods, and their heartbeats, meet. The
// caller must hold Feed.mu.
func (r *Reader) figuresDue() bool {
	period := uint64(r.interest.Figures)
	if period == 0 || r.feed.beat < r.figures {
		return false
	}
	r.figures = (r.feed.beat + 2*period - 1) / period * period
	return true
}

// figuresWaker returns the waker of the beat at which figures are due next. The first figures are
// due at the next beat of all.
func (r *Reader) figuresWaker() *waker {
	if period := r.interest.Figures; r.figures%uint64(period) == 0 {
		return &r.feed.beats[period]
	}
	return &r.feed.beats[1]
}

func none(func(*Entry) bool) {}

// droppedUntil returns the revision of the last dropped batch with changes in the reader's shards,
// which are groups of services.
func (r *Reader) droppedUntil() uint64 {
	if len(r.shards) == 0 {
		return r.feed.log.cutAll
	}
	var last uint64
	for _, s := range r.shards {
		last = max(last, r.feed.log.cut[s])
	}
	return last
}

// snapshot returns a step with all current entries that the reader wants, and moves the cursor
// to the revision of this step. The caller must hold Feed.mu.
func (r *Reader) snapshot() Step {
	f := r.feed
	step := Step{
		Entries: r.entriesOf(f.now), Snapshot: true,
		Gap: r.gap || r.placed, Revision: f.now.revision,
	}
	r.cursor, r.placed, r.gap = f.now.revision, true, false
	return step
}

// entriesOf returns an iterator over the entries in c that the reader wants.
func (r *Reader) entriesOf(c Cut) iter.Seq[*Entry] {
	if len(r.interest.Names) > 0 {
		return c.named(r.interest.Names)
	}
	return c.Of(r.interest.Services...)
}

// merge returns the entries of the given batches that the reader wants, in the order of their
// revisions. If a name has several entries, merge returns only the entry that was current at
// the given revision.
func (r *Reader) merge(batches []*Batch, revision uint64) []*Entry {
	var merged []*Entry
	for _, b := range batches {
		for _, e := range b.Entries {
			if r.wants(e.ID) && e.currentAt(revision) {
				merged = append(merged, e)
			}
		}
	}
	return merged
}

// touchedBy reports whether the batch b may contain entries that the reader wants.
func (r *Reader) touchedBy(b *Batch) bool {
	for _, s := range r.shards {
		if b.shards.has(s) {
			return true
		}
	}
	return len(r.shards) == 0
}

// wants reports whether the reader receives the entry with the name id.
func (r *Reader) wants(id health.ID) bool {
	if len(r.interest.Names) > 0 {
		_, found := slices.BinarySearchFunc(r.interest.Names, id, health.ID.Compare)
		return found
	}
	_, found := slices.BinarySearch(r.interest.Services, id.Service)
	return found || len(r.interest.Services) == 0
}
