package check

import (
	"math"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/machine"
)

func TestGoroutines(t *testing.T) {
	if err := Goroutines(AtMost(1e6, 1e6))(t.Context()); err != nil {
		t.Error(err)
	}
	if err := Goroutines(AtMost(1, 1e6))(t.Context()); machine.EvidenceOf(err) != machine.Warn {
		t.Errorf("more than one goroutine: %v", err)
	}
}

// TestGCPause measures real pauses. A run includes only the pauses since the run before.
func TestGCPause(t *testing.T) {
	run := GCPause(time.Nanosecond, time.Hour)
	runtime.GC()
	if err := run(t.Context()); machine.EvidenceOf(err) != machine.Warn {
		t.Errorf("after a collection: %v, want a warning", err)
	}
	if err := GCPause(time.Hour, time.Hour)(t.Context()); err != nil {
		t.Error(err)
	}
	for _, wrong := range [][2]time.Duration{{0, 1}, {2, 1}, {-1, 1}} {
		if err := GCPause(wrong[0], wrong[1])(t.Context()); machine.EvidenceOf(err) != machine.Fail {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

func TestPercentile(t *testing.T) {
	buckets := []float64{math.Inf(-1), 0.001, 0.01, 0.1, math.Inf(1)}
	for _, c := range []struct {
		name           string
		counts, before []uint64
		want           time.Duration
	}{
		{"nothing", []uint64{0, 0, 0, 0}, nil, 0},
		{"nothing new", []uint64{1, 2, 3, 4}, []uint64{1, 2, 3, 4}, 0},
		{"one", []uint64{0, 1, 0, 0}, nil, 10 * time.Millisecond},
		{"the worst of a hundred is left out", []uint64{0, 99, 1, 0}, nil, 10 * time.Millisecond},
		{"two of a hundred are not", []uint64{0, 98, 2, 0}, nil, 100 * time.Millisecond},
		{"only what is new", []uint64{0, 50, 1, 9}, []uint64{0, 50, 0, 9}, 100 * time.Millisecond},
		{"beyond the last bound", []uint64{0, 0, 0, 1}, nil, 100 * time.Millisecond},
	} {
		h := &metrics.Float64Histogram{Counts: c.counts, Buckets: buckets}
		if got := percentile(h, c.before, 0.99); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
