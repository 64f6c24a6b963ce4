package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// callAll calls every method of s except Close. It returns the errors by the names of the methods.
func callAll(ctx context.Context, s store.Store) map[string]error {
	_, load := s.Load(ctx)
	_, lookup := s.Lookup(ctx, []health.ID{pay1})
	_, transitions := s.Transitions(ctx, store.Query{Limit: 1})
	_, after := s.TransitionsAfter(ctx, store.Cursor{Limit: 1})
	_, position := s.Position(ctx, "web")
	return map[string]error{
		"Load": load, "Lookup": lookup, "Transitions": transitions, "TransitionsAfter": after, "Position": position,
		"Commit": s.Commit(ctx, whole(cart1)),
	}
}

func testLimits(t *testing.T, open Open) {
	s := open(t, 0)
	for limit, ok := range map[int]bool{-1: false, 0: false, 1: true, store.MaxPage: true, store.MaxPage + 1: false} {
		if _, err := s.Transitions(context.Background(), store.Query{Limit: limit}); (err == nil) != ok {
			t.Errorf("a page of %d: %v", limit, err)
		}
	}
}

func testEndedContext(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, whole(pay1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, err := range callAll(ctx, s) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", name, err, context.Canceled)
		}
	}
	same(t, "nothing was committed", load(t, s), stateOf(whole(pay1)))
	sameJournal(t, "the journal is unchanged", journal(t, s, store.Query{Limit: 5}), whole(pay1).Transitions)
}

func testClosed(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, whole(pay1))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		for name, err := range callAll(context.Background(), s) {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s: %v, want %v", name, err, store.ErrClosed)
			}
		}
	}
}

// testReaders reads the journal while transitions are added and dropped. Each page must show a
// state that the journal had at one moment, so the numbers in a page must have no gaps.
func testReaders(t *testing.T, open Open) {
	const most = 40
	s := open(t, most)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					readOnce(t, s, most)
				}
			}
		})
	}
	for range 60 {
		commit(t, s, &store.Batch{Transitions: changes(pay1, 7)})
	}
	close(done)
	readers.Wait()
}

func readOnce(t *testing.T, s store.Store, most int) {
	p, err := s.Transitions(context.Background(), store.Query{Limit: store.MaxPage})
	if err != nil || len(p.Transitions) > most || p.Next != 0 {
		t.Errorf("%d of at most %d, next %d: %v", len(p.Transitions), most, p.Next, err)
	}
	for i := 1; i < len(p.Transitions); i++ {
		if p.Transitions[i].Seq+1 != p.Transitions[i-1].Seq {
			t.Errorf("number %d is older than number %d", p.Transitions[i].Seq, p.Transitions[i-1].Seq)
		}
	}
}

// testCloseBesideReaders closes the store during reads. Each read must succeed or return
// ErrClosed.
func testCloseBesideReaders(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, &store.Batch{Transitions: changes(pay1, 500)})
	var readers, started sync.WaitGroup
	for range 4 {
		started.Add(1)
		readers.Go(func() {
			begin := sync.OnceFunc(started.Done)
			for {
				p, err := s.Transitions(context.Background(), store.Query{Limit: store.MaxPage})
				begin()
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil || len(p.Transitions) != 500 {
					t.Errorf("%d transitions: %v", len(p.Transitions), err)
					return
				}
			}
		})
	}
	started.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	readers.Wait()
}

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

// testReopenEmpty drops the whole journal and opens the store again. New transitions must have
// higher numbers than the dropped ones.
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
