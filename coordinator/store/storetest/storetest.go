package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// Open returns an empty store whose journal keeps so many transitions, and has
// it closed and checked at the end of the test.
type Open func(t *testing.T, maxTransitions int) store.Store

// OpenAt opens the store in a folder, an empty one if there is none yet.
type OpenAt func(t *testing.T, folder string, maxTransitions int) store.Store

// Run checks a store.
func Run(t *testing.T, open Open) {
	for name, f := range map[string]func(*testing.T, Open){
		"Empty":                   testEmpty,
		"EveryField":              testEveryField,
		"PutReplaces":             testPutReplaces,
		"DeleteTakesAll":          testDeleteTakesAll,
		"DeleteUnknown":           testDeleteUnknown,
		"DeleteOverride":          testDeleteOverride,
		"DeletesComeFirst":        testDeletesComeFirst,
		"StatusOfUnknown":         testStatusOfUnknown,
		"AliveAt":                 testAliveAt,
		"Lookup":                  testLookup,
		"NamesAreNotPrefixes":     testNames,
		"CallerKeepsItsData":      testAliasing,
		"Sequence":                testSequence,
		"JournalKeepsTheDeleted":  testJournalOfDeleted,
		"Paging":                  testPaging,
		"PagingWhileItGrows":      testPagingWhileItGrows,
		"GapsMatchEveryQuery":     testGaps,
		"Limits":                  testLimits,
		"Bound":                   testBound,
		"BatchBeyondTheBound":     testBatchBeyondBound,
		"NoJournal":               testNoJournal,
		"EndedContext":            testEndedContext,
		"Closed":                  testClosed,
		"ReadersBesideTheWriter":  testReaders,
		"CloseBesideReaders":      testCloseBesideReaders,
		"ModelSmallJournal":       func(t *testing.T, open Open) { testModel(t, open, 10) },
		"ModelUnboundedByBatches": func(t *testing.T, open Open) { testModel(t, open, 10_000) },
	} {
		t.Run(name, func(t *testing.T) { f(t, open) })
	}
}

// RunDurable checks that a store keeps what it acknowledged.
func RunDurable(t *testing.T, open OpenAt) {
	t.Run("Reopen", func(t *testing.T) { testReopen(t, open) })
	t.Run("ReopenEmpty", func(t *testing.T) { testReopenEmpty(t, open) })
	t.Run("ReopenWithLowerBound", func(t *testing.T) { testLowerBound(t, open) })
	t.Run("ModelWithReopening", func(t *testing.T) { testModelReopening(t, open) })
}

// noon is when everything happens.
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
	return store.Override{ID: id, Status: health.Maintenance, Author: "ann", Reason: "disk", SetAt: noon}
}

func status(id health.ID) store.Status {
	return store.Status{ID: id, Status: health.Degraded, Cause: health.CauseWarned, Since: noon}
}

func change(id health.ID) store.Transition {
	return store.Transition{ID: id, From: health.Serving, To: health.Degraded, At: noon, Cause: health.CauseWarned}
}

// changes returns n of them, told apart by their time.
func changes(id health.ID, n int) []store.Transition {
	all := make([]store.Transition, n)
	for i := range all {
		all[i] = change(id)
		all[i].At = at(i)
	}
	return all
}

// whole is a batch with one of everything for each id.
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

// journal pages through everything a query finds.
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
			t.Fatalf("a page of %d, want %d: there is a next one", len(p.Transitions), q.Limit)
		}
		if q.Before != 0 && p.Next >= q.Before {
			t.Fatalf("the page before %d is followed by the one before %d", q.Before, p.Next)
		}
		q.Before = p.Next
	}
}
