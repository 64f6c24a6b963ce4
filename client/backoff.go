package client

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/internal/delay"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	baseBackoff = 200 * time.Millisecond
	maxBackoff  = 10 * time.Second
	// maxRequestedPause is the longest pause that a coordinator may ask for.
	maxRequestedPause = time.Minute
	// shortLife is how long a stream must live to count as a success. One message is not
	// enough, since a server that is about to stop may send one.
	shortLife = time.Second
)

// backoff returns growing pauses with full jitter, from zero to a limit. Clients that have
// lost the same coordinator therefore do not return at the same time.
type backoff struct {
	limit time.Duration // longest pause; 0 means maxBackoff
	tries int
}

func (b *backoff) next() time.Duration {
	most := b.limit
	if most == 0 {
		most = maxBackoff
	}
	limit := delay.Doubled(baseBackoff, b.tries, most)
	b.tries++
	return delay.Between(0, limit, rand.Float64())
}

// after returns the pause after a failure. It is at least the pause that the coordinator
// asks for, up to maxRequestedPause.
func (b *backoff) after(err error) time.Duration {
	pause := b.next()
	if asked, ok := wire.RetryDelay(err); ok {
		pause = max(pause, min(asked, maxRequestedPause))
	}
	if b.limit > 0 {
		pause = min(pause, b.limit)
	}
	return pause
}

// succeeded resets the pauses if a stream has worked for at least shortLife before it
// failed.
func (b *backoff) succeeded(life time.Duration) {
	if life >= shortLife {
		b.tries = 0
	}
}

func (b *backoff) reset() { b.tries = 0 }

// The budget of a Client is 20 streams at once, and after that 10 streams a second.
const (
	budgetBurst = 20
	budgetEvery = 100 * time.Millisecond
)

// budget limits how often all streams of a Client together are opened. The zero value is
// full.
type budget struct {
	mu   sync.Mutex
	next time.Time // the time at which the budget is full again, minus the time of a burst
}

// reserve reserves one stream and returns how long to wait before the stream may be opened.
func (b *budget) reserve(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full := now.Add(-budgetBurst * budgetEvery); b.next.Before(full) {
		b.next = full
	}
	b.next = b.next.Add(budgetEvery)
	return max(0, b.next.Sub(now))
}

// wait returns after d, after a value from kick, or at the end of ctx. It reports whether ctx
// has not ended.
func wait(ctx context.Context, d time.Duration, kick <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-kick:
	case <-timer.C:
	}
	return ctx.Err() == nil
}
