package bolt

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

func benchBatch(n int) *store.Batch {
	b := &store.Batch{}
	for i := range n {
		b.Transitions = append(b.Transitions, store.Transition{
			ID: health.ID{Service: "payments", Instance: "pod-" + strconv.Itoa(i)}, From: health.Serving,
			To: health.Degraded, At: time.Unix(int64(i), 0), Cause: health.CauseWarned, Reason: "db: slow",
		})
	}
	return b
}

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(fileIn(b.TempDir()), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, batch := benchStore(b), benchBatch(n)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Commit(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fillStore makes the journal full.
func fillStore(b *testing.B, s *Store) {
	b.Helper()
	for range store.DefaultTransitions / 10_000 {
		if err := s.Commit(context.Background(), benchBatch(10_000)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTransitions queries a full journal. A name without transitions takes longest,
// because the query passes over all keys.
func BenchmarkTransitions(b *testing.B) {
	s := benchStore(b)
	fillStore(b, s)
	for _, name := range []string{"", "payments", "payments/pod-7", "nobody"} {
		b.Run("of "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := s.Transitions(context.Background(), store.Query{ID: health.ParseID(name), Limit: 100})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTransitionsOfRange queries ten transitions in the middle of a full journal.
func BenchmarkTransitionsOfRange(b *testing.B) {
	s := benchStore(b)
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range store.DefaultTransitions / 10_000 {
		batch := benchBatch(10_000)
		for k := range batch.Transitions {
			batch.Transitions[k].At = began.Add(time.Duration(10_000*i+k) * time.Second)
		}
		if err := s.Commit(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	q := store.Query{From: began.Add(50_000 * time.Second), Limit: 100}
	q.To = q.From.Add(10 * time.Second)
	b.ReportAllocs()
	for b.Loop() {
		if p, err := s.Transitions(context.Background(), q); err != nil || len(p.Transitions) != 10 {
			b.Fatal(len(p.Transitions), err)
		}
	}
}

// BenchmarkTransitionsAfter reads a full journal forward, one segment a time.
func BenchmarkTransitionsAfter(b *testing.B) {
	s := benchStore(b)
	fillStore(b, s)
	b.ReportAllocs()
	for c := (store.Cursor{Limit: 100}); b.Loop(); {
		g, err := s.TransitionsAfter(context.Background(), c)
		if err != nil {
			b.Fatal(err)
		}
		if c.After = g.Next; len(g.Transitions) < c.Limit {
			c.After = 0
		}
	}
}

// BenchmarkOpen examines a store with a full journal.
func BenchmarkOpen(b *testing.B) {
	s := benchStore(b)
	fillStore(b, s)
	path := s.path
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := Open(path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		_ = s.Close()
	}
}
