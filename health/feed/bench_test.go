package feed

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/meshhealth/meshhealth/health"
)

// BenchmarkPublish publishes one change to a number of waiting readers. All of them have
// read it before the next change is published.
func BenchmarkPublish(b *testing.B) {
	for _, readers := range []int{0, 1, 100, 1000} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) { benchmarkPublish(b, readers) })
	}
}

func benchmarkPublish(b *testing.B, n int) {
	f := New(7, 0)
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var read atomic.Int64
	var readers, round sync.WaitGroup
	round.Add(n)
	for range n {
		readers.Go(func() {
			for r := f.NewReader(Interest{}); ; {
				s, err := r.Next(ctx)
				if err != nil {
					return
				}
				for e := range s.Entries {
					e.Encoded(Encoding{Audience: Public}, func(*Entry) []byte { return make([]byte, 128) })
				}
				read.Add(1)
				round.Done()
			}
		})
	}
	round.Wait()
	changes, revision := make([]health.Change, 1), uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		revision++
		changes[0] = health.Change{State: health.State{ID: health.ID{Service: "a", Instance: "1"}, Revision: revision}}
		round.Add(n)
		f.Publish(changes)
		round.Wait()
	}
	b.StopTimer()
	if n > 0 {
		b.ReportMetric(float64(read.Load())/b.Elapsed().Seconds(), "reads/s")
	}
	stop()
	readers.Wait()
}

// BenchmarkBatch publishes batches of different numbers of names.
func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f, changes := New(7, 0), make([]health.Change, n)
			revision := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				for i := range changes {
					revision++
					changes[i] = health.Change{State: health.State{ID: health.ID{Service: "a", Instance: names[i%len(names)]}, Revision: revision}}
				}
				f.Publish(changes)
			}
		})
	}
}

var names = func() (names [10_000]string) {
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	return names
}()
