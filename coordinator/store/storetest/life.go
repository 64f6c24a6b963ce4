package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// each calls every method but Close, and returns its error by name.
func each(ctx context.Context, s store.Store) map[string]error {
	_, load := s.Load(ctx)
	_, lookup := s.Lookup(ctx, []health.ID{pay1})
	_, transitions := s.Transitions(ctx, store.Query{Limit: 1})
	return map[string]error{
		"Load": load, "Lookup": lookup, "Transitions": transitions,
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
	for name, err := range each(ctx, s) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", name, err, context.Canceled)
		}
	}
	same(t, "nothing was committed", load(t, s), stateOf(whole(pay1)))
	sameJournal(t, "nor recorded", journal(t, s, store.Query{Limit: 5}), whole(pay1).Transitions)
}

func testClosed(t *testing.T, open Open) {
	s := open(t, 0)
	commit(t, s, whole(pay1))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		for name, err := range each(context.Background(), s) {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s: %v, want %v", name, err, store.ErrClosed)
			}
		}
	}
}

// testReaders reads the journal while it is written and pruned: each page is of
// one moment, so that its numbers have no holes.
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
			t.Errorf("number %d comes before number %d", p.Transitions[i].Seq, p.Transitions[i-1].Seq)
		}
	}
}

// testCloseBesideReaders closes amid reading: a read succeeds or says so.
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
