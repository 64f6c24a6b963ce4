package storetest

import (
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store"
)

func reopen(t *testing.T, s store.Store, open OpenAt, folder string, most int) store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return open(t, folder, most)
}

func testReopen(t *testing.T, open OpenAt) {
	folder := t.TempDir()
	s := open(t, folder, 0)
	commit(t, s, full())
	last := journal(t, s, store.Query{Limit: 1})[0].Seq
	for range 2 {
		s = reopen(t, s, open, folder, 0)
		same(t, "Load", load(t, s), stateOf(full()))
		sameJournal(t, "journal", journal(t, s, store.Query{Limit: 1}), full().Transitions)
	}
	commit(t, s, &store.Batch{Transitions: changes(cart1, 1)})
	if got := journal(t, s, store.Query{Limit: 1})[0].Seq; got <= last {
		t.Errorf("number %d after a restart, %d before", got, last)
	}
}

// testReopenEmpty drops the whole journal: its numbers still rise.
func testReopenEmpty(t *testing.T, open OpenAt) {
	folder := t.TempDir()
	s := reopen(t, open(t, folder, 0), open, folder, 0)
	same(t, "Load", load(t, s), store.State{})
	commit(t, s, &store.Batch{Transitions: changes(pay1, 9)})
	last := journal(t, s, store.Query{Limit: 1})[0].Seq
	s = reopen(t, s, open, folder, -1)
	commit(t, s, &store.Batch{})
	sameJournal(t, "no journal", journal(t, s, store.Query{Limit: 1}), nil)
	s = reopen(t, s, open, folder, 0)
	commit(t, s, &store.Batch{Transitions: changes(pay1, 1)})
	if got := journal(t, s, store.Query{Limit: 1}); len(got) != 1 || got[0].Seq <= last {
		t.Errorf("%v follows number %d", got, last)
	}
}

func testLowerBound(t *testing.T, open OpenAt) {
	folder := t.TempDir()
	s := open(t, folder, 50)
	all := mixed(t, s, 50)
	s = reopen(t, s, open, folder, 10)
	commit(t, s, &store.Batch{Transitions: changes(pay1, 1)})
	want := newestFirst(append(all, changes(pay1, 1)...))[:10]
	sameJournal(t, "journal", journal(t, s, store.Query{Limit: 3}), want)
}
