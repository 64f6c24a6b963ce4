package audit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkAppend has so many callers that append at the same time. One operation is one durable line.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64, 1000} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			l := start(b, b.TempDir(), Options{})
			left := atomic.Int64{}
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := l.Append(context.Background(), record("payments")); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/float64(max(1, l.Stats().Syncs)), "lines/sync")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// BenchmarkNote notes refusals in a flood. Nearly all are only counted.
func BenchmarkNote(b *testing.B) {
	l := start(b, b.TempDir(), Options{})
	b.ReportAllocs()
	for b.Loop() {
		l.Note(refusal("payments"))
	}
}

// BenchmarkVerify verifies lines. One operation is one line.
func BenchmarkVerify(b *testing.B) {
	l, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	const lines = 20_000
	records := make([]stamped, lines)
	for i := range records {
		records[i] = stamped{record("payments").cleaned(), noon}
	}
	if err := l.writes.write(noon, records, true); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := Verify(l.dir, Noted{}); err != nil || !r.Sound() {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*lines), "ns/line")
}
