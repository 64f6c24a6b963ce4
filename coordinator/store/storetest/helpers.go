package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// Open is a function that returns an empty store whose journal keeps at most maxTransitions. The
// function must arrange that the store is closed at the end of the test t.
type Open func(t *testing.T, maxTransitions int) store.Store

// OpenAt is a function that opens the store in a folder. If the folder has no store, the function
// makes an empty one.
type OpenAt func(t *testing.T, folder string, maxTransitions int) store.Store

// noon is the time to which the tests add durations to get the times of their records.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 123456789, time.UTC)

func at(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

func id(service, instance string) health.ID { return health.ID{Service: service, Instance: instance} }

var (
	pay1  = id("pay", "1")
	pay2  = id("pay", "2")
	cart1 = id("cart", "1")
)

func registration(id health.ID) store.Registration {
	return store.Registration{ID: id, Address: "10.0.0.1:50051", Lease: 7, RegisteredAt: noon}
}

func override(id health.ID) store.Override {
	return store.Override{Scope: id.String(), Status: health.Maintenance, Author: "ann", Reason: "disk", SetAt: noon}
}

func status(id health.ID) store.Status {
	return store.Status{ID: id, Status: health.Degraded, Cause: health.CauseWarned, Since: noon}
}

func change(id health.ID) store.Transition {
	return store.Transition{ID: id, From: health.Serving, To: health.Degraded, At: noon, Cause: health.CauseWarned}
}

// changes returns n transitions with different times.
func changes(id health.ID, n int) []store.Transition {
	all := make([]store.Transition, n)
	for i := range all {
		all[i] = change(id)
		all[i].At = at(i)
	}
	return all
}

// whole returns a batch with a registration, an override, a status and a transition for each ID.
func whole(ids ...health.ID) *store.Batch {
	b := &store.Batch{}
	for _, id := range ids {
		b.PutRegistrations = append(b.PutRegistrations, registration(id))
		b.PutOverrides = append(b.PutOverrides, override(id))
		b.PutStatuses = append(b.PutStatuses, status(id))
		b.Transitions = append(b.Transitions, change(id))
	}
	return b
}

func commit(t *testing.T, s store.Store, b *store.Batch) {
	t.Helper()
	if err := s.Commit(context.Background(), b); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func load(t *testing.T, s store.Store) store.State {
	t.Helper()
	state, err := s.Load(context.Background())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return state
}

func lookup(t *testing.T, s store.Store, ids ...health.ID) store.State {
	t.Helper()
	state, err := s.Lookup(context.Background(), ids)
	if err != nil {
		t.Fatalf("Lookup: %v", err)
	}
	return state
}

func page(t *testing.T, s store.Store, q store.Query) store.Page {
	t.Helper()
	p, err := s.Transitions(context.Background(), q)
	if err != nil {
		t.Fatalf("Transitions(%+v): %v", q, err)
	}
	if len(p.Transitions) > q.Limit {
		t.Fatalf("Transitions(%+v): a page of %d", q, len(p.Transitions))
	}
	return p
}

// journal reads all pages of a query, and returns their transitions in the order of the query. The
// journal must be so short that every page but the last one is full.
func journal(t *testing.T, s store.Store, q store.Query) []store.Transition {
	t.Helper()
	var all []store.Transition
	for {
		p := page(t, s, q)
		all = append(all, p.Transitions...)
		if p.Next == 0 {
			return all
		}
		if len(p.Transitions) != q.Limit {
			t.Fatalf("a page of %d, want %d: it is not the last page", len(p.Transitions), q.Limit)
		}
		if q.OldestFirst && p.Next <= q.After || !q.OldestFirst && q.Before != 0 && p.Next >= q.Before {
			t.Fatalf("%+v has a next page at %d", q, p.Next)
		}
		if q.OldestFirst {
			q.After = p.Next
		} else {
			q.Before = p.Next
		}
	}
}

// segment reads one segment of the journal. It checks the rules that every segment must obey.
func segment(t *testing.T, s store.Store, c store.Cursor) store.Segment {
	t.Helper()
	g, err := s.TransitionsAfter(context.Background(), c)
	if err != nil {
		t.Fatalf("TransitionsAfter(%+v): %v", c, err)
	}
	if len(g.Transitions) > c.Limit || g.Next != c.After+g.Dropped+uint64(len(g.Transitions)) {
		t.Fatalf("TransitionsAfter(%+v): %d transitions, %d dropped, next %d", c, len(g.Transitions), g.Dropped, g.Next)
	}
	for i := range g.Transitions {
		if want := c.After + g.Dropped + uint64(i) + 1; g.Transitions[i].Seq != want {
			t.Fatalf("TransitionsAfter(%+v): transition %d has number %d, want %d", c, i, g.Transitions[i].Seq, want)
		}
	}
	return g
}

// forward reads the journal from the cursor c to the end. It returns all transitions that it has
// read. dropped is the number of transitions after c that the journal has dropped.
func forward(t *testing.T, s store.Store, c store.Cursor) (all []store.Transition, dropped uint64) {
	t.Helper()
	for {
		g := segment(t, s, c)
		all, dropped = append(all, g.Transitions...), dropped+g.Dropped
		if c.After = g.Next; len(g.Transitions) < c.Limit {
			return all, dropped
		}
	}
}

func position(t *testing.T, s store.Store, consumer string) uint64 {
	t.Helper()
	seq, err := s.Position(context.Background(), consumer)
	if err != nil {
		t.Fatalf("Position(%q): %v", consumer, err)
	}
	return seq
}
