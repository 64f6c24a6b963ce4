package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/meshhealth/meshhealth/health"
)

// publisher makes changes with rising revisions.
type publisher struct {
	feed     *Feed
	revision uint64
}

func newPublisher(maxBytes int) *publisher { return &publisher{feed: New(7, maxBytes)} }

// change returns a change of "service/instance". A trailing "-" means that it is removed.
func (p *publisher) change(name string, status health.Status) health.Change {
	p.revision++
	name, removed := strings.CutSuffix(name, "-")
	st := health.State{ID: health.ParseID(name), Status: status, Revision: p.revision, Removed: removed}
	return health.Change{State: st, Epoch: 7}
}

func (p *publisher) publish(names ...string) *Batch {
	changes := make([]health.Change, 0, len(names))
	for _, n := range names {
		changes = append(changes, p.change(n, health.Serving))
	}
	return p.feed.Publish(changes)
}

// list formats entries as "name@revision".
func list(entries []*Entry) string { return listed(slices.Values(entries)) }

func listed(entries iter.Seq[*Entry]) string {
	var names []string
	for e := range entries {
		text := fmt.Sprintf("%s@%d", e.ID, e.Revision)
		if e.Removed {
			text += "-"
		}
		names = append(names, text)
	}
	return strings.Join(names, " ")
}

func count(entries iter.Seq[*Entry]) int { return len(slices.Collect(entries)) }

func next(t *testing.T, r *Reader) Step {
	t.Helper()
	step, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return step
}

// idle fails the test if there is anything to read.
func idle(t *testing.T, r *Reader) {
	t.Helper()
	if step, news, _ := polled(r); news == nil {
		t.Errorf("there is %s (%+v), want nothing", listed(step.Entries), step)
	}
}

func TestSnapshotThenChanges(t *testing.T) {
	p := newPublisher(0)
	p.publish("a/1", "a", "b/1")
	r := p.feed.NewReader(Interest{})
	if s := next(t, r); !s.Snapshot || s.Gap || s.Revision != 3 || listed(s.Entries) != "a@2 a/1@1 b/1@3" {
		t.Errorf("first: %s, %+v", listed(s.Entries), s)
	}
	idle(t, r)
	b := p.publish("a/1", "c/1")
	s := next(t, r)
	if s.Batch != b || s.Snapshot || s.Beat || listed(s.Entries) != "a/1@4 c/1@5" || s.Revision != 5 {
		t.Errorf("then: %s, %+v", listed(s.Entries), s)
	}
	idle(t, r)
}

func TestEmptyFeed(t *testing.T) {
	p := newPublisher(0)
	r := p.feed.NewReader(Interest{})
	if s := next(t, r); !s.Snapshot || s.Gap || count(s.Entries) != 0 || s.Revision != 0 {
		t.Errorf("of nothing: %+v", s)
	}
	if p.feed.Publish(nil) != nil || p.feed.Revision() != 0 {
		t.Error("no change makes a batch")
	}
	idle(t, r)
}

// A slow reader receives the latest change of each name, in the order of revisions.
func TestSlowReaderCoalesces(t *testing.T) {
	p := newPublisher(0)
	r := p.feed.NewReader(Interest{})
	next(t, r)
	p.publish("a/1", "b/1")
	p.publish("a/1", "c/1")
	p.publish("b/1", "a/1-")
	s := next(t, r)
	if s.Batch != nil || listed(s.Entries) != "c/1@4 b/1@5 a/1@6-" || s.Revision != 6 {
		t.Errorf("three batches become %s, %+v", listed(s.Entries), s)
	}
}

// A batch keeps only the last change of a name.
func TestBatchHoldsEachNameOnce(t *testing.T) {
	p := newPublisher(0)
	b := p.publish("a/1", "a", "a/1", "a")
	if list(b.Entries) != "a/1@3 a@4" || b.Revision != 4 {
		t.Errorf("batch holds %s", list(b.Entries))
	}
}

func TestRemoved(t *testing.T) {
	p := newPublisher(0)
	p.publish("a/1", "a", "b/1")
	r := p.feed.NewReader(Interest{Services: []string{"a"}})
	next(t, r)
	p.publish("a/1-", "a-")
	if s := next(t, r); listed(s.Entries) != "a/1@4- a@5-" {
		t.Errorf("told %s", listed(s.Entries))
	}
	if _, ok := p.feed.Get(health.ID{Service: "a", Instance: "1"}); ok || p.feed.Len() != 1 {
		t.Errorf("still there; %d entries", p.feed.Len())
	}
	if now, revision := p.feed.Snapshot(); list(now) != "b/1@3" || revision != 5 {
		t.Errorf("snapshot is %s at %d", list(now), revision)
	}
	// The name was added and removed between two reads.
	p.publish("c/1", "c/1-")
	if e, ok := p.feed.Get(health.ID{Service: "c", Instance: "1"}); ok {
		t.Errorf("c/1 is %v", e)
	}
	p.publish("d/1-")
	if p.feed.Len() != 1 || p.feed.next.Len() != 1 {
		t.Errorf("%d entries, %d in the next cut", p.feed.Len(), p.feed.next.Len())
	}
}

func TestInterest(t *testing.T) {
	p := newPublisher(0)
	p.publish("a/1", "b/1", "c/1")
	r := p.feed.NewReader(Interest{Services: []string{"a", "b"}})
	if s := next(t, r); listed(s.Entries) != "a/1@1 b/1@2" {
		t.Errorf("first: %s", listed(s.Entries))
	}
	p.publish("c/1")
	idle(t, r)
	p.publish("c/1", "b/1")
	if s := next(t, r); s.Batch != nil || listed(s.Entries) != "b/1@6" || s.Revision != 6 {
		t.Errorf("then: %s, %+v", listed(s.Entries), s)
	}
	if now, _ := p.feed.Snapshot("c", "nobody"); list(now) != "c/1@5" {
		t.Errorf("snapshot of c is %s", list(now))
	}
}

// A reader of one service is woken by changes of that service only.
func TestWakesOnlyWhoIsInterested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(0)
		quiet, noisy := differentShards()
		got := make(chan Step, 10)
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			defer close(got)
			for r := p.feed.NewReader(Interest{Services: []string{quiet}}); ; {
				s, err := r.Next(ctx)
				if err != nil {
					return
				}
				got <- s
			}
		}()
		synctest.Wait()
		<-got
		waiter := p.feed.shards[shardOf(quiet)].ch
		p.publish(noisy + "/1")
		synctest.Wait()
		if p.feed.shards[shardOf(quiet)].ch != waiter || len(got) != 0 {
			t.Error("woken by another service")
		}
		p.publish(quiet + "/1")
		synctest.Wait()
		if len(got) != 1 {
			t.Error("not woken")
		}
		stop()
		synctest.Wait()
	})
}

// differentShards returns two services of different shards.
func differentShards() (string, string) {
	for i := 0; ; i++ {
		if other := fmt.Sprint("b", i); shardOf(other) != shardOf("a") {
			return "a", other
		}
	}
}

func TestNextEnds(t *testing.T) {
	p := newPublisher(0)
	r := p.feed.NewReader(Interest{Period: 1})
	next(t, r)
	why := errors.New("enough")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(why)
	if _, err := r.Next(ctx); !errors.Is(err, why) {
		t.Errorf("ends with %v", err)
	}
}

// perBatch is the size of a batch of one small entry that a later batch has replaced.
var perBatch = batchBytes + sizeOf(&health.State{ID: health.ID{Service: "a", Instance: "1"}}, false)

func TestLogIsBounded(t *testing.T) {
	const kept = 5
	p := newPublisher(kept * perBatch)
	for range 20 {
		p.publish("a/1")
	}
	// The last batch has the current entry, which does not count.
	if n, size := len(p.feed.log.batches), p.feed.log.size; n != kept || size != (kept-1)*perBatch+batchBytes {
		t.Errorf("%d batches of %d bytes", n, size)
	}
	// Many changes at once are no gap, because the feed holds their entries anyway.
	r := p.feed.NewReader(Interest{})
	next(t, r)
	names := []string{"a/1"}
	for i := range 10 * kept {
		names = append(names, fmt.Sprint("b/", i))
	}
	p.publish(names...)
	p.publish("a/1")
	if s := next(t, r); s.Gap || count(s.Entries) != len(names) {
		t.Errorf("gap %v of %d entries, %d batches", s.Gap, count(s.Entries), len(p.feed.log.batches))
	}
	// The log drops a batch when later ones have replaced its entries.
	p.publish(names...)
	if n, size := len(p.feed.log.batches), p.feed.log.size; n != 2 || size != perBatch+batchBytes {
		t.Errorf("%d batches of %d bytes", n, size)
	}
	// A batch of removals that is larger than the log is not kept.
	for i := range names {
		names[i] += "-"
	}
	p.publish(names...)
	if s := next(t, r); !s.Gap || count(s.Entries) != 0 || len(p.feed.log.batches) != 0 || p.feed.log.size != 0 {
		t.Errorf("gap %v of %d entries, %d batches", s.Gap, count(s.Entries), len(p.feed.log.batches))
	}
	long := health.State{Reason: strings.Repeat("x", 1000), Checks: make([]health.CheckState, 10)}
	if sizeOf(&long, false) < 1000+sizeOf(&health.State{}, false) {
		t.Error("long texts count for nothing")
	}
}

// A reader that is older than the log receives a snapshot that is marked as a gap.
func TestGap(t *testing.T) {
	p := newPublisher(3 * perBatch)
	r := p.feed.NewReader(Interest{})
	next(t, r)
	for range 4 {
		p.publish("a/1")
	}
	p.publish("b/1")
	if s := next(t, r); !s.Snapshot || !s.Gap || listed(s.Entries) != "a/1@4 b/1@5" || s.Revision != 5 {
		t.Errorf("%s, %+v", listed(s.Entries), s)
	}
	p.publish("b/1")
	if s := next(t, r); s.Snapshot || s.Gap || listed(s.Entries) != "b/1@6" {
		t.Errorf("afterwards: %s, %+v", listed(s.Entries), s)
	}
}

// Dropped changes of other services are no gap for a reader of a quiet service.
func TestQuietServiceHasNoGap(t *testing.T) {
	p := newPublisher(3 * perBatch)
	quiet, noisy := differentShards()
	p.publish(quiet + "/1")
	r := p.feed.NewReader(Interest{Services: []string{quiet}})
	token := next(t, r).Revision
	for range 10 {
		p.publish(noisy + "/1")
	}
	idle(t, r)
	idle(t, p.feed.Resume(Interest{Services: []string{quiet}}, Cursor{7, token}))
	// If a change of the service itself was dropped, there is a gap.
	late := p.feed.Resume(Interest{Services: []string{quiet}}, Cursor{7, 0})
	if s := next(t, late); !s.Gap || count(s.Entries) != 1 {
		t.Errorf("%+v", s)
	}
	p.publish(quiet + "/1")
	if s := next(t, r); s.Snapshot || count(s.Entries) != 1 {
		t.Errorf("then: %+v", s)
	}
}

func TestResume(t *testing.T) {
	p := newPublisher(0)
	p.publish("a/1", "b/1")
	p.publish("a/1", "b/1-")
	for _, c := range []struct {
		name     string
		cursor   Cursor
		snapshot bool
		want     string
	}{
		{"up to date", Cursor{7, 4}, false, ""},
		{"behind", Cursor{7, 2}, false, "a/1@3 b/1@4-"},
		{"amid a batch", Cursor{7, 3}, false, "a/1@3 b/1@4-"},
		{"from the start", Cursor{7, 0}, false, "a/1@3 b/1@4-"},
		{"another life", Cursor{8, 4}, true, "a/1@3"},
		{"an unreadable token", Cursor{}, true, "a/1@3"},
		{"the future", Cursor{7, 5}, true, "a/1@3"},
	} {
		r := p.feed.Resume(Interest{}, c.cursor)
		if c.want == "" {
			idle(t, r)
			continue
		}
		s := next(t, r)
		if s.Snapshot != c.snapshot || s.Gap != c.snapshot || listed(s.Entries) != c.want || s.Revision != 4 {
			t.Errorf("%s: %s, %+v", c.name, listed(s.Entries), s)
		}
		idle(t, r)
	}
}

func TestBeats(t *testing.T) {
	p := newPublisher(0)
	quiet, noisy := differentShards()
	r := p.feed.NewReader(Interest{Services: []string{quiet}, Period: 3})
	none := p.feed.NewReader(Interest{})
	next(t, r)
	next(t, none)
	beats := 0
	for second := 1; second <= 12; second++ {
		p.feed.Beat()
		p.publish(noisy + "/1") // not of interest; the heartbeat must come all the same
		if second == 5 {
			p.publish(quiet + "/1")
			if s := next(t, r); s.Beat || count(s.Entries) != 1 {
				t.Errorf("second 5: %+v", s)
			}
		}
		step, news, _ := polled(r)
		if news == nil {
			beats++
			if !step.Beat || count(step.Entries) != 0 || step.Revision != p.feed.Revision() || second%3 != 0 {
				t.Errorf("second %d: %+v", second, step)
			}
		}
	}
	if beats != 4 {
		t.Errorf("%d heartbeats in 12 s, want 4", beats)
	}
	next(t, none)
	p.feed.Beat()
	idle(t, none)
	// A reader that is late by several periods receives one heartbeat.
	for range 9 {
		p.feed.Beat()
	}
	next(t, r)
	idle(t, r)
}

func TestBeatWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(0)
		ctx, stop := context.WithCancel(t.Context())
		counts := make([]int, MaxPeriod+1)
		for period := 1; period <= MaxPeriod; period++ {
			go func() {
				for r := p.feed.NewReader(Interest{Period: period}); ; {
					s, err := r.Next(ctx)
					if err != nil {
						return
					}
					if s.Beat {
						counts[period]++
					}
				}
			}()
		}
		synctest.Wait()
		for range 2 * MaxPeriod {
			p.feed.Beat()
			synctest.Wait()
		}
		stop()
		synctest.Wait()
		for period := 1; period <= MaxPeriod; period++ {
			if want := 2 * MaxPeriod / period; counts[period] != want {
				t.Errorf("period %d: %d heartbeats, want %d", period, counts[period], want)
			}
		}
	})
}

// polled returns what poll returns, without the channel for figures.
func polled(r *Reader) (step Step, news, beat <-chan struct{}) {
	got := r.poll()
	return got.step, got.news, got.beat
}

// TestFiguresAreDue: the first step with figures comes at the next beat. Then one comes at most each
// period, at a multiple of it. This also holds for a reader that is late or always has changes. A
// heartbeat that is due at the same time is in the same step.
func TestFiguresAreDue(t *testing.T) {
	p := newPublisher(0)
	for range 4 {
		p.feed.Beat()
	}
	r := p.feed.NewReader(Interest{Period: 3, Figures: 3})
	if s := next(t, r); !s.Snapshot {
		t.Fatalf("%+v", s)
	}
	var at []string
	for beat := 5; beat <= 20; beat++ {
		p.feed.Beat()
		if beat > 10 {
			p.publish("a/1") // changes do not delay figures
		}
		if beat == 14 || beat == 15 || beat == 16 {
			continue // the reader is late
		}
		for {
			s, news, _ := polled(r)
			if news != nil {
				break
			}
			if s.Figures {
				at = append(at, fmt.Sprintf("%d %t", beat, s.Beat))
			}
		}
	}
	if got := strings.Join(at, ", "); got != "5 false, 9 true, 12 true, 17 true" {
		t.Errorf("figures at %s", got)
	}
}
