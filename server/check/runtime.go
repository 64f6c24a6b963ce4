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

// Goroutines judges how many goroutines there are: leaks, and work that piles
// up.
func Goroutines(limit Limit) Func {
	return limit.checked(func(ctx context.Context) error {
		return limit.judge(ctx, float64(readMetric("/sched/goroutines:goroutines").Uint64()), "goroutines")
	})
}

// GCPause judges the 99th percentile of the garbage collector's pauses since the
// run before, as runtime/metrics has them: it warns above warn and fails above
// fail. A process that pauses long answers late.
func GCPause(warn, fail time.Duration) Func {
	return pauses("/sched/pauses/total/gc:seconds", warn, fail)
}

func pauses(metric string, warn, fail time.Duration) Func {
	if warn <= 0 || fail < warn {
		return wrong("limits", "are %v and %v; allowed: 0 < warn <= fail", warn, fail)
	}
	var mu sync.Mutex
	var before []uint64
	return func(ctx context.Context) error {
		mu.Lock()
		h := readMetric(metric).Float64Histogram()
		pause := percentile(h, before, 0.99)
		before = append(before[:0], h.Counts...)
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

// percentile returns the upper end of the bucket the percentile of what came
// after before lies in; 0 if nothing came.
func percentile(h *metrics.Float64Histogram, before []uint64, p float64) time.Duration {
	news := func(i int) uint64 {
		if i < len(before) {
			return h.Counts[i] - before[i]
		}
		return h.Counts[i]
	}
	var total uint64
	for i := range h.Counts {
		total += news(i)
	}
	rank := uint64(math.Ceil(p * float64(total)))
	for i := range h.Counts {
		n := news(i)
		if n >= rank && rank > 0 {
			return bucket(h.Buckets[i], h.Buckets[i+1])
		}
		rank -= n
	}
	return 0
}

// bucket returns its upper end, or where that is infinite its lower one.
func bucket(low, high float64) time.Duration {
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
