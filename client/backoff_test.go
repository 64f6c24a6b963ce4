package client

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func TestBackoffGrowsWithFullJitter(t *testing.T) {
	limits := []time.Duration{
		200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond,
		3200 * time.Millisecond, 6400 * time.Millisecond, maxBackoff, maxBackoff,
	}
	for i, limit := range limits {
		var low, high bool
		for range 200 {
			b := backoff{tries: i}
			d := b.next()
			if d < 0 || d >= limit {
				t.Fatalf("pause %d is %v, want below %v", i, d, limit)
			}
			low, high = low || d < limit/2, high || d >= limit/2
		}
		if !low || !high {
			t.Errorf("pause %d does not spread over %v", i, limit)
		}
	}
}

func TestBackoffDoesNotOverflow(t *testing.T) {
	b := backoff{tries: 1 << 40}
	for range 100 {
		if d := b.next(); d < 0 || d >= maxBackoff {
			t.Fatalf("pause %v", d)
		}
	}
}

func TestBackoffForgetsOnlyAfterALife(t *testing.T) {
	b := backoff{tries: 5}
	b.succeeded(shortLife - 1)
	wantEqual(t, "tries after a short life", b.tries, 5)
	b.succeeded(shortLife)
	wantEqual(t, "tries after a life", b.tries, 0)
}

func TestBackoffDoesAsItIsTold(t *testing.T) {
	for _, c := range []struct {
		asked, most time.Duration
		want        time.Duration
	}{
		{7 * time.Second, 0, 7 * time.Second},
		{time.Hour, 0, maxRequestedPause},
		{7 * time.Second, time.Second, time.Second},
	} {
		b := backoff{limit: c.most}
		wantEqual(t, "pause", b.pauseAfter(told(t, codes.Unavailable, c.asked)), c.want)
	}
	b := backoff{}
	wantEqual(t, "pause after one of our errors", b.pauseAfter(domainError(wire.GRPC(domain.ErrLimit))), 10*time.Second)
}

func TestBudget(t *testing.T) {
	var b budget
	now := time.Now()
	for i := range budgetBurst {
		if d := b.reserve(now); d != 0 {
			t.Fatalf("the budget is empty after %d, want %d", i, budgetBurst)
		}
	}
	wantEqual(t, "the first too many", b.reserve(now), budgetEvery)
	wantEqual(t, "the second", b.reserve(now), 2*budgetEvery)
	now = now.Add(time.Hour)
	for range budgetBurst {
		wantEqual(t, "an hour later", b.reserve(now), 0)
	}
	wantEqual(t, "no more than the burst is saved up", b.reserve(now), budgetEvery)
}
