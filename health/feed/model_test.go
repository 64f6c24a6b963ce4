package feed

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// view is the knowledge of a reader, built from its steps only.
type view struct {
	interest Interest
	known    map[health.ID]uint64
	revision uint64
	gaps     int
}

// apply applies a step and checks what every step guarantees.
func (v *view) apply(s Step) error {
	if s.Revision < v.revision {
		return fmt.Errorf("moved back from %d to %d", v.revision, s.Revision)
	}
	was := v.known
	if s.Snapshot {
		v.known = map[health.ID]uint64{}
	}
	if s.Gap {
		v.gaps++
	}
	seen := map[health.ID]bool{}
	for e := range s.Entries {
		switch {
		case seen[e.ID]:
			return fmt.Errorf("%s twice in a step", e.ID)
		case e.Revision < was[e.ID], e.Revision == was[e.ID] && !s.Snapshot:
			return fmt.Errorf("%s went from revision %d to %d", e.ID, was[e.ID], e.Revision)
		case e.Revision > s.Revision:
			return fmt.Errorf("%s has revision %d, the step only %d", e.ID, e.Revision, s.Revision)
		case !v.wants(e.ID.Service):
			return fmt.Errorf("%s is of no interest", e.ID)
		}
		seen[e.ID] = true
		v.known[e.ID] = e.Revision
		if e.Removed {
			delete(v.known, e.ID)
		}
	}
	v.revision = s.Revision
	return nil
}

func (v *view) wants(service string) bool {
	return len(v.interest.Services) == 0 || slices.Contains(v.interest.Services, service)
}

// same compares the view with the truth, for the names of interest.
func (v *view) same(truth map[health.ID]uint64) error {
	want := maps.Clone(truth)
	maps.DeleteFunc(want, func(id health.ID, _ uint64) bool { return !v.wants(id.Service) })
	if !maps.Equal(v.known, want) {
		return fmt.Errorf("interest %v at %d: knows %v, truth is %v", v.interest.Services, v.revision, v.known, want)
	}
	return nil
}

// modelPublisher publishes random batches and keeps the truth after each batch.
type modelPublisher struct {
	publisher
	random *rand.Rand
	now    map[health.ID]uint64
	truths map[uint64]map[health.ID]uint64 // by revision
}

func newModelPublisher(random *rand.Rand, maxBytes int) *modelPublisher {
	p := &modelPublisher{publisher: *newPublisher(maxBytes), random: random, now: map[health.ID]uint64{}}
	p.truths = map[uint64]map[health.ID]uint64{0: {}}
	return p
}

func (p *modelPublisher) publishSome() {
	var changes []health.Change
	for range 1 + p.random.IntN(4) {
		name := fmt.Sprintf("s%d/%d", p.random.IntN(4), p.random.IntN(3))
		if p.random.IntN(4) == 0 {
			name += "-"
		}
		c := p.change(name, health.Serving)
		changes = append(changes, c)
		p.now[c.ID] = c.Revision
		if c.Removed {
			delete(p.now, c.ID)
		}
	}
	p.truths[p.revision] = maps.Clone(p.now)
	p.feed.Publish(changes)
}

// Readers read at random speeds and resume at times. After every step the view of a reader
// equals the truth at its revision. That revision is the end of a batch, because a reader
// sees a batch completely or not at all.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := newModelPublisher(random, (1+random.IntN(12))*perBatch)
		readers, views := make([]*Reader, 6), make([]*view, 6)
		for i := range readers {
			in := Interest{}
			for s := range i % 3 {
				in.Services = append(in.Services, fmt.Sprint("s", s))
			}
			readers[i], views[i] = p.feed.NewReader(in), &view{interest: in, known: map[health.ID]uint64{}}
		}
		for range 120 {
			if random.IntN(3) > 0 {
				p.publishSome()
				continue
			}
			i := random.IntN(len(readers))
			if random.IntN(5) == 0 && readers[i].placed {
				readers[i] = p.feed.Resume(views[i].interest, Cursor{7, views[i].revision})
			}
			if err := modelStep(p, readers[i], views[i]); err != nil {
				t.Fatalf("seed %d, reader %d: %v", seed, i, err)
			}
		}
		weight := 0
		for _, b := range p.feed.log.batches {
			weight += b.weight()
		}
		if p.feed.log.size > p.feed.maxBytes || p.feed.log.size != weight || p.feed.Len() != len(p.now) {
			t.Fatalf("seed %d: log of %d, %d entries, want %d", seed, p.feed.log.size, p.feed.Len(), len(p.now))
		}
	}
}

func modelStep(p *modelPublisher, r *Reader, v *view) error {
	step, news, _ := polled(r)
	if news != nil {
		v.revision = r.cursor // there was nothing of interest up to this revision
	} else if err := v.apply(step); err != nil {
		return err
	}
	truth, sealed := p.truths[v.revision]
	if !sealed {
		return fmt.Errorf("stands at %d, amid a batch", v.revision)
	}
	return v.same(truth)
}

// With one publisher and fifty concurrent readers, each reader sees the revisions of each
// name rise, and ends with the final state.
func TestReadersAtOnce(t *testing.T) {
	p := newModelPublisher(rand.New(rand.NewPCG(9, 9)), 40*perBatch)
	const rounds = 400
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var readers sync.WaitGroup
	views := make([]*view, 50)
	for i := range views {
		in := Interest{Period: i % 4}
		if i%5 == 0 {
			in.Services = []string{fmt.Sprint("s", i/5%4)}
		}
		views[i] = &view{interest: in, known: map[health.ID]uint64{}}
		readers.Go(func() { follow(t, ctx, p.feed, views[i]) })
	}
	for i := range rounds {
		p.publishSome()
		if i%10 == 0 {
			p.feed.Beat()
		}
	}
	// The last batch changes every service, so that all readers see the end.
	var last []health.Change
	for s := range 4 {
		c := p.change(fmt.Sprintf("s%d/end", s), health.Serving)
		last = append(last, c)
		p.now[c.ID] = c.Revision
	}
	p.feed.Publish(last)
	readers.Wait()
	for i, v := range views {
		if err := v.same(p.now); err != nil {
			t.Errorf("reader %d: %v", i, err)
		}
	}
}

// follow reads until the reader has seen the end.
func follow(t *testing.T, ctx context.Context, f *Feed, v *view) {
	for r := f.NewReader(v.interest); ; {
		step, err := r.Next(ctx)
		if err == nil {
			err = v.apply(step)
		}
		if err != nil {
			t.Error(err)
			return
		}
		for id := range v.known {
			if id.Instance == "end" {
				return
			}
		}
	}
}

// A read of unknown names leaves nothing behind.
func TestInventedNames(t *testing.T) {
	p := newPublisher(0)
	p.publish("a/1")
	for i := range 1000 {
		name := fmt.Sprint("invented-", i)
		r := p.feed.NewReader(Interest{Services: []string{name}, Period: 5})
		next(t, r)
		idle(t, r)
		p.feed.Get(health.ID{Service: name, Instance: "1"})
		p.feed.Snapshot(name)
		p.publish(name + "/1-")
	}
	if p.feed.Len() != 1 || len(p.feed.removed) != 1000 {
		t.Errorf("%d entries, %d removals known to the log", p.feed.Len(), len(p.feed.removed))
	}
}
