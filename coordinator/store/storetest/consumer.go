package storetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

func testForward(t *testing.T, open Open) {
	s := open(t, 0)
	if g := segment(t, s, store.Cursor{Limit: 1}); g.Next != 0 {
		t.Errorf("an empty journal has the segment %+v", g)
	}
	all := mixed(t, s, 100)
	for _, limit := range []int{1, 7, 99, 100, 101, store.MaxPage} {
		got, dropped := forward(t, s, store.Cursor{Limit: limit})
		sameJournal(t, "from the oldest on", got, all)
		if dropped != 0 {
			t.Errorf("%d transitions dropped", dropped)
		}
	}
	last := segment(t, s, store.Cursor{Limit: store.MaxPage}).Next
	rest, _ := forward(t, s, store.Cursor{After: last - 3, Limit: 2})
	sameJournal(t, "the last three", rest, all[97:])
	if g := segment(t, s, store.Cursor{After: last, Limit: 1}); len(g.Transitions) > 0 || g.Next != last {
		t.Errorf("at the end is %+v", g)
	}
}

func testForwardWhileItGrows(t *testing.T, open Open) {
	s := open(t, 0)
	all := mixed(t, s, 20)
	first := segment(t, s, store.Cursor{Limit: 15})
	commit(t, s, &store.Batch{Transitions: changes(pay1, 10)})
	rest, _ := forward(t, s, store.Cursor{After: first.Next, Limit: 4})
	sameJournal(t, "each transition once", append(first.Transitions, rest...), append(all, changes(pay1, 10)...))
}

func testForwardAfterDrops(t *testing.T, open Open) {
	const most = 10
	s := open(t, most)
	all := mixed(t, s, 25)
	got, dropped := forward(t, s, store.Cursor{Limit: 3})
	sameJournal(t, "the newest", got, all[15:])
	if dropped != 15 {
		t.Errorf("from the start: %d dropped, want 15", dropped)
	}
	if _, dropped = forward(t, s, store.Cursor{After: 12, Limit: 3}); dropped != 3 {
		t.Errorf("from 12: %d dropped, want 3", dropped)
	}
	if _, dropped = forward(t, s, store.Cursor{After: 15, Limit: 3}); dropped != 0 {
		t.Errorf("from 15: %d dropped, want 0", dropped)
	}

	none := open(t, -1)
	commit(t, none, &store.Batch{Transitions: changes(pay1, 4)})
	if g := segment(t, none, store.Cursor{After: 1, Limit: 1}); g.Dropped != 3 || g.Next != 4 {
		t.Errorf("without a journal: %+v", g)
	}
}

func testForwardLimits(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, &store.Batch{Transitions: changes(pay1, 2)})
	for limit, ok := range map[int]bool{-1: false, 0: false, 1: true, store.MaxPage: true, store.MaxPage + 1: false} {
		if _, err := s.TransitionsAfter(context.Background(), store.Cursor{Limit: limit}); (err == nil) != ok {
			t.Errorf("Limit %d: %v", limit, err)
		}
	}
	for _, after := range []uint64{3, ^uint64(0)} {
		if _, err := s.TransitionsAfter(context.Background(), store.Cursor{After: after, Limit: 1}); !errors.Is(err, store.ErrAhead) {
			t.Errorf("After %d: %v, want %v", after, err, store.ErrAhead)
		}
	}
}

func testPositions(t *testing.T, open Open) {
	s := open(t, 0)
	long := strings.Repeat("ü", store.MaxConsumerName/2)
	commit(t, s, &store.Batch{
		Transitions:  changes(pay1, 5),
		PutPositions: []store.Position{{Consumer: "web", Seq: 1}, {Consumer: "notify", Seq: 3}, {Consumer: "web", Seq: 2}, {Consumer: long}},
	})
	for consumer, want := range map[string]uint64{"web": 2, "notify": 3, long: 0, "we": 0, "webs": 0, "": 0} {
		if got := position(t, s, consumer); got != want {
			t.Errorf("position of %q: %d, want %d", consumer, got, want)
		}
	}
	// A batch may contain only a position. A position may be lower than before.
	commit(t, s, &store.Batch{PutPositions: []store.Position{{Consumer: "notify", Seq: 1}}})
	commit(t, s, &store.Batch{
		DeletePositions: []string{"web", "unknown", long},
		PutPositions:    []store.Position{{Consumer: "web", Seq: 4}},
	})
	same(t, "Load", load(t, s), store.State{Positions: []store.Position{{Consumer: "web", Seq: 4}, {Consumer: "notify", Seq: 1}}})
}

func testPositionWithItsBatch(t *testing.T, open Open) {
	s := open(t, 2)
	commit(t, s, &store.Batch{Transitions: changes(pay1, 3), PutPositions: []store.Position{{Consumer: "web", Seq: 3}}})
	if got := position(t, s, "web"); got != 3 {
		t.Errorf("position %d, want 3, the last transition of the same batch", got)
	}
}

func testPositionsRefused(t *testing.T, open Open) {
	s := open(t, 0)
	b := whole(pay1)
	b.PutPositions = []store.Position{{Consumer: "web", Seq: 1}}
	commit(t, s, b)
	for name, p := range map[string]store.Position{
		"empty name":            {Seq: 1},
		"long name":             {Consumer: strings.Repeat("x", store.MaxConsumerName+1)},
		"after the journal":     {Consumer: "web", Seq: 3},
		"far after the journal": {Consumer: "web", Seq: ^uint64(0)},
	} {
		refused := whole(cart1) // a batch with one transition
		refused.ID = 9
		refused.PutPositions = []store.Position{{Consumer: "other", Seq: 1}, p}
		if err := s.Commit(context.Background(), refused); err == nil || !strings.Contains(err.Error(), "PutPositions") {
			t.Errorf("%s: %v", name, err)
		}
		same(t, name+": nothing was kept", load(t, s), stateOf(b))
		sameJournal(t, name, journal(t, s, store.Query{Limit: 5}), b.Transitions)
	}
}

func testConsumersBound(t *testing.T, open Open) {
	s := open(t, 0)
	b := &store.Batch{Transitions: changes(pay1, 1)}
	for i := range store.MaxConsumers {
		b.PutPositions = append(b.PutPositions, store.Position{Consumer: strconv.Itoa(i), Seq: 1})
	}
	commit(t, s, b)
	more := &store.Batch{PutPositions: []store.Position{{Consumer: "more", Seq: 1}}}
	if err := s.Commit(context.Background(), more); err == nil {
		t.Error("there is room for one consumer too many")
	}
	same(t, "the first", load(t, s), stateOf(b))
	more.DeletePositions = []string{"7"}
	commit(t, s, more)
	if got := position(t, s, "more"); got != 1 {
		t.Errorf("in the place of another: %d, want 1", got)
	}
	commit(t, s, &store.Batch{PutPositions: []store.Position{{Consumer: "more"}}})
}

// testConsumer runs a consumer that reads the journal while transitions are added and dropped. The
// consumer must get each transition once and in order, or learn that it was dropped.
func testConsumer(t *testing.T, open Open) {
	const most, batches, perBatch = 40, 60, 7
	s := open(t, most)
	var seen []store.Transition
	var dropped uint64
	done := make(chan struct{})
	written := make(chan struct{})
	go func() {
		defer close(done)
		for c := (store.Cursor{Limit: 5}); ; {
			ended := isClosed(written)
			g, err := s.TransitionsAfter(context.Background(), c)
			if err != nil {
				t.Errorf("TransitionsAfter(%+v): %v", c, err)
				return
			}
			seen, dropped, c.After = append(seen, g.Transitions...), dropped+g.Dropped, g.Next
			if ended && len(g.Transitions) < c.Limit {
				return
			}
		}
	}()
	for range batches {
		commit(t, s, &store.Batch{Transitions: changes(pay1, perBatch)})
	}
	close(written)
	<-done
	rises := slices.IsSortedFunc(seen, func(a, b store.Transition) int { return cmp.Compare(a.Seq, b.Seq) })
	if got := dropped + uint64(len(seen)); got != batches*perBatch || !rises {
		t.Errorf("%d seen and dropped, want %d; in order: %v", got, batches*perBatch, rises)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
