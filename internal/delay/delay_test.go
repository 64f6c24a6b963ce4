package delay

import (
	"math"
	"testing"
	"time"
)

func TestBetween(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 2 * time.Second, 0.5: 3 * time.Second, 1: 4 * time.Second} {
		if got := Between(2*time.Second, 4*time.Second, random); got != want {
			t.Errorf("random %v: %v, want %v", random, got, want)
		}
	}
}

func TestAround(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 9 * time.Second, 0.5: 10 * time.Second, 1: 11 * time.Second} {
		if got := Around(10*time.Second, random); got != want {
			t.Errorf("random %v: %v, want %v", random, got, want)
		}
	}
}

func TestDoubled(t *testing.T) {
	for _, c := range []struct {
		n          int
		most, want time.Duration
	}{
		{-1, time.Hour, time.Second},
		{0, time.Hour, time.Second},
		{3, time.Hour, 8 * time.Second},
		{3, 5 * time.Second, 5 * time.Second},
		{0, time.Millisecond, time.Millisecond},
		{math.MaxInt, time.Hour, time.Hour},
	} {
		if got := Doubled(time.Second, c.n, c.most); got != c.want {
			t.Errorf("%d times, at most %v: %v, want %v", c.n, c.most, got, c.want)
		}
	}
}
