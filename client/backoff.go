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
	// maxRequestedPause is the longest pause before a next attempt that a coordinator may request.
	maxRequestedPause = time.Minute
	// shortLife is how long a stream must last to count as a success. One received message does
	// not show success, because a server that is about to stop may send one.
	shortLife = time.Second
)

// backoff returns the pauses between attempts. Each pause is random, from zero to a limit that
// grows with each attempt. So clients that have lost the same coordinator do not return at the
// same time.
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

// after returns the pause after the failure err. If the coordinator requests a pause in err, the
// result is at least this pause, up to maxRequestedPause.
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

// succeeded ends the growth of the pauses if a stream has lasted for at least shortLife. life is
// how long the stream has lasted.
func (b *backoff) succeeded(life time.Duration) {
	if life >= shortLife {
		b.tries = 0
	}
}

func (b *backoff) reset() { b.tries = 0 }

// A Client may open 20 streams at once, and after that 10 streams a second.
const (
	budgetBurst = 20
	budgetEvery = 100 * time.Millisecond
)

// budget limits how often a Client opens streams, counted over all its Watches and Reports. The
// zero value allows the full number at once.
type budget struct {
	mu   sync.Mutex
	next time.Time // time from which the budget is full again, minus the time of budgetBurst streams
}

// reserve counts one stream and returns how long the caller must wait before it opens the stream.
func (b *budget) reserve(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full := now.Add(-budgetBurst * budgetEvery); b.next.Before(full) {
		b.next = full
	}
	b.next = b.next.Add(budgetEvery)
	return max(0, b.next.Sub(now))
}

// wait returns after the time d, after a value from kick, or when ctx ends. It returns false if ctx
// has ended.
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
