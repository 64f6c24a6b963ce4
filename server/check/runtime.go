package check

import (
	"context"
	"fmt"
	"math"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// Goroutines returns a check of the number of goroutines of the process. The number grows if
// goroutines leak, or if more and more work waits.
func Goroutines(limit Limit) Func {
	return limit.validated(func(ctx context.Context) error {
		return limit.evaluate(ctx, float64(readMetric("/sched/goroutines:goroutines").Uint64()), "goroutines")
	})
}

// GCPause returns a check of the pauses of the garbage collector since the previous run. The check
// warns if the 99th percentile is longer than the duration warn. It fails if the percentile is
// longer than the duration fail. The pauses are read from runtime/metrics.
func GCPause(warn, fail time.Duration) Func {
	return pauses("/sched/pauses/total/gc:seconds", warn, fail)
}

// pauses returns a check of a histogram of runtime/metrics. metric is the name of the histogram,
// whose unit must be seconds. warn and fail have the same meaning as in GCPause.
func pauses(metric string, warn, fail time.Duration) Func {
	if warn <= 0 || fail < warn {
		return invalid("limits", "are %v and %v; allowed: 0 < warn <= fail", warn, fail)
	}
	var mu sync.Mutex
	var earlier []uint64
	return func(ctx context.Context) error {
		mu.Lock()
		h := readMetric(metric).Float64Histogram()
		pause := percentile(h, earlier, 0.99)
		earlier = append(earlier[:0], h.Counts...)
		mu.Unlock()
		server.Observe(ctx, pause.Seconds(), "s")
		switch {
		case pause > fail:
			return fmt.Errorf("pauses of %v, more than %v", pause, fail)
		case pause > warn:
			return health.Warnf("pauses of %v, more than %v", pause, warn)
		}
		return nil
	}
}

// percentile returns the percentile p, from 0 to 1, of the values that were added to the histogram h
// since an earlier time. earlier has the counts of h at that time. The result is the upper end of a
// bucket, or 0 if no value was added.
func percentile(h *metrics.Float64Histogram, earlier []uint64, p float64) time.Duration {
	added := func(i int) uint64 {
		if i < len(earlier) {
			return h.Counts[i] - earlier[i]
		}
		return h.Counts[i]
	}
	var total uint64
	for i := range h.Counts {
		total += added(i)
	}
	rank := uint64(math.Ceil(p * float64(total)))
	for i := range h.Counts {
		n := added(i)
		if n >= rank && rank > 0 {
			return bucketEnd(h.Buckets[i], h.Buckets[i+1])
		}
		rank -= n
	}
	return 0
}

// bucketEnd returns the upper end of a bucket, given in seconds. If the upper end is infinite, it
// returns the lower end.
func bucketEnd(low, high float64) time.Duration {
	if math.IsInf(high, 1) {
		high = low
	}
	return time.Duration(high * float64(time.Second))
}

func readMetric(name string) metrics.Value {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value
}
