package feed

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// BenchmarkHold measures how long the feed's lock is held with 50,000 instances: each
// measured function locks it first and unlocks it last. It reports the maximum, and the
// 99th percentile, which pauses of the machine do not affect. The aim is 1 ms.
func BenchmarkHold(b *testing.B) {
	const instances, large = 50_000, 10_000
	f, revision := New(7, 0), uint64(0)
	id := func(i int) health.ID {
		if i < large {
			return health.ID{Service: "large", Instance: names[i]}
		}
		return health.ID{Service: "service-" + names[i%1000], Instance: fmt.Sprint(i)}
	}
	seal := func(from, n int) *Batch {
		changes := make([]health.Change, n)
		for i := range changes {
			revision++
			changes[i] = health.Change{State: health.State{ID: id((from + i) % instances), Revision: revision}}
		}
		return seal(changes)
	}
	publish := func(from, n int) { f.publish(seal(from, n)) }
	for i := 0; i < instances; i += 500 {
		publish(i, 500)
	}
	var some []health.ID
	for i := range 128 {
		some = append(some, id(i*70))
	}
	everything, exact := Interest{}, Interest{Names: some}
	for _, c := range []struct {
		what string
		// hold prepares a case and returns the function that locks and unlocks.
		hold func(i int) func()
	}{
		{"snapshot", func(int) func() { r := f.NewReader(everything); return func() { r.advance() } }},
		{"snapshot of 128 names", func(int) func() { r := f.NewReader(exact); return func() { r.advance() } }},
		{"changes, far behind", func(i int) func() {
			r := f.NewReader(exact)
			r.advance()
			for k := range 2000 {
				publish(i+k, 1)
			}
			return func() { r.advance() }
		}},
		{"cut, for pages and filters", func(int) func() { return func() { f.Cut() } }},
		{"batch of 1", func(i int) func() { batch := seal(i, 1); now := f.apply(batch); return func() { f.show(batch, now) } }},
		{"batch of 20,000", func(i int) func() {
			batch := seal(i, 20_000)
			now := f.apply(batch)
			return func() { f.show(batch, now) }
		}},
		{"heartbeat", func(int) func() { return func() { f.nextBeat() } }},
	} {
		b.Run(c.what, func(b *testing.B) {
			defer debug.SetGCPercent(debug.SetGCPercent(-1))
			var held []time.Duration
			for i := range b.N {
				if i%20 == 0 {
					runtime.GC()
				}
				hold := c.hold(i)
				began := time.Now()
				hold()
				held = append(held, time.Since(began))
			}
			slices.Sort(held)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(held[(len(held)-1)*99/100].Nanoseconds())/1000, "p99-µs")
			b.ReportMetric(float64(held[len(held)-1].Nanoseconds())/1000, "longest-µs")
		})
	}
}
