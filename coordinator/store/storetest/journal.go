package storetest

import (
	"slices"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// matching returns the transitions that the query q should find in the slice all, newest first. The
// oldest transition in all must be the first.
func matching(all []store.Transition, q store.Query) []store.Transition {
	var some []store.Transition
	for _, t := range newestFirst(all) {
		if q.Matches(&t) {
			some = append(some, t)
		}
	}
	return some
}

func testSequence(t *testing.T, open Open) {
	s := open(t, 0)
	b := &store.Batch{Transitions: changes(pay1, 3)}
	b.Transitions[1].Seq = 99 // the store ignores a Seq that the caller has set
	commit(t, s, b)
	commit(t, s, &store.Batch{Transitions: changes(cart1, 2)})
	all := journal(t, s, store.Query{Limit: 10})
	sameJournal(t, "newest first", all, newestFirst(append(changes(pay1, 3), changes(cart1, 2)...)))
	for i := 1; i < len(all); i++ {
		if all[i].Seq >= all[i-1].Seq || all[i].Seq == 0 {
			t.Errorf("number %d is older than number %d", all[i].Seq, all[i-1].Seq)
		}
	}
}

func testJournalOfDeleted(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, whole(pay1))
	commit(t, s, &store.Batch{DeleteRegistrations: []health.ID{pay1}})
	sameJournal(t, "journal", journal(t, s, store.Query{ID: pay1, Limit: 1}), []store.Transition{change(pay1)})
}

// mixed makes n transitions of three instances, some of them gaps (with Lost > 0), and commits them
// in small batches. It returns the transitions.
func mixed(t *testing.T, s store.Store, n int) []store.Transition {
	var all []store.Transition
	for i := range n {
		x := change([]health.ID{pay1, pay2, cart1}[i*i%7%3])
		if i%11 == 5 {
			x = store.Transition{Lost: uint64(i)}
		}
		x.At = at(i)
		all = append(all, x)
	}
	for chunk := range slices.Chunk(all, 8) {
		commit(t, s, &store.Batch{Transitions: chunk})
	}
	return all
}

// queries holds one query of each kind. The last two queries find only gaps, which are transitions
// with Lost > 0.
var queries = []store.Query{
	{},
	{ID: id("pay", "")},
	{ID: id("cart", "")},
	{ID: pay1},
	{ID: pay2},
	{ID: id("pa", "")},
	{ID: id("pay", "11")},
}

func testPaging(t *testing.T, open Open) {
	s := open(t, 0)
	all := mixed(t, s, 100)
	for _, q := range queries {
		want := matching(all, q)
		for _, limit := range []int{1, 2, 7, len(want) - 1, len(want), len(want) + 1, store.MaxPage} {
			q.Limit = max(1, limit)
			sameJournal(t, q.ID.String(), journal(t, s, q), want)
		}
	}
	first := journal(t, s, store.Query{Limit: store.MaxPage})[99].Seq
	if p := page(t, s, store.Query{Before: first, Limit: 1}); len(p.Transitions) > 0 || p.Next != 0 {
		t.Errorf("the page before the oldest transition is %+v", p)
	}
	if p := page(t, s, store.Query{Before: ^uint64(0), Limit: 1}); len(p.Transitions) != 1 {
		t.Errorf("the page before the largest number is %+v", p)
	}
}

func testPagingWhileItGrows(t *testing.T, open Open) {
	s := open(t, 30)
	all := mixed(t, s, 30)
	q := store.Query{Limit: 10}
	first := page(t, s, q)
	commit(t, s, &store.Batch{Transitions: changes(pay1, 15)})
	q.Before = first.Next
	second := page(t, s, q)
	sameJournal(t, "new transitions do not move the pages", append(first.Transitions, second.Transitions...), newestFirst(all)[:15])
	if second.Next != 0 {
		t.Errorf("there is a page before %d, and its transitions were dropped", second.Next)
	}
}

func testGaps(t *testing.T, open Open) {
	s := open(t, 0)
	named := change(cart1)
	named.Lost = 3
	all := []store.Transition{{At: noon, Lost: 2}, change(pay1), named}
	commit(t, s, &store.Batch{Transitions: all})
	for _, q := range queries {
		q.Limit = 2
		sameJournal(t, q.ID.String(), journal(t, s, q), matching(all, q))
	}
}

func testBound(t *testing.T, open Open) {
	const most = 25
	s := open(t, most)
	all := mixed(t, s, 100)
	got := journal(t, s, store.Query{Limit: 10})
	sameJournal(t, "the newest are kept", got, newestFirst(all)[:most])
	for _, q := range queries {
		q.Limit = 3
		sameJournal(t, q.ID.String(), journal(t, s, q), matching(all[len(all)-most:], q))
	}
}

func testBatchBeyondBound(t *testing.T, open Open) {
	const most = 5
	s := open(t, most)
	commit(t, s, &store.Batch{Transitions: changes(pay1, 3)})
	last := journal(t, s, store.Query{Limit: most})[0].Seq
	b := changes(cart1, 4*most)
	commit(t, s, &store.Batch{Transitions: b})
	got := journal(t, s, store.Query{Limit: most})
	sameJournal(t, "the newest are kept", got, newestFirst(b)[:most])
	if got[most-1].Seq <= last {
		t.Errorf("number %d follows number %d", got[most-1].Seq, last)
	}
}

func testNoJournal(t *testing.T, open Open) {
	s := open(t, -1)
	commit(t, s, whole(pay1))
	sameJournal(t, "journal", journal(t, s, store.Query{Limit: 1}), nil)
	same(t, "Load", load(t, s), stateOf(whole(pay1)))
}
