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
	// maxRequestedPause is the longest pause before the next attempt that a client accepts from
	// a coordinator.
	maxRequestedPause = time.Minute
	// shortLife is how long a stream must last to count as a success. One received message does
	// not show success, because a server that is about to stop may still send a message.
	shortLife = time.Second
)

// backoff computes the pauses between attempts. Each pause is random, from zero to a limit that
// grows with each attempt. So clients that have lost the same coordinator do not all connect again
// at the same time.
type backoff struct {
	limit time.Duration // longest pause; 0 means maxBackoff
	tries int
}

func (b *backoff) next() time.Duration {
	longest := b.limit
	if longest == 0 {
		longest = maxBackoff
	}
	limit := delay.Doubled(baseBackoff, b.tries, longest)
	b.tries++
	return delay.Between(0, limit, rand.Float64()) // #nosec G404 -- a delay
}

// pauseAfter returns the pause between an attempt that has failed with err and the next attempt. If
// the coordinator requests a pause in err, the result is at least this pause, up to
// maxRequestedPause. If b.limit is set, the result is never longer.
func (b *backoff) pauseAfter(err error) time.Duration {
	pause := b.next()
	if asked, ok := wire.RetryDelay(err); ok {
		pause = max(pause, min(asked, maxRequestedPause))
	}
	if b.limit > 0 {
		pause = min(pause, b.limit)
	}
	return pause
}

// succeeded makes the next pause short again if a stream has lasted for at least shortLife. life is
// how long the stream has lasted.
func (b *backoff) succeeded(life time.Duration) {
	if life >= shortLife {
		b.tries = 0
	}
}

func (b *backoff) reset() { b.tries = 0 }

// A Client may open 20 streams at once. After that, it may open 10 streams a second.
const (
	budgetBurst = 20
	budgetEvery = 100 * time.Millisecond
)

// budget limits how often a Client opens streams. It counts the streams of all Watches and Reports
// of the Client. The zero value allows budgetBurst streams at once.
type budget struct {
	mu sync.Mutex
	// allowed is the earliest time at which the stream that was counted last may be opened. If
	// it is in the past, that stream need not wait.
	allowed time.Time
}

// reserve counts one stream and returns how long the caller must wait before it opens the stream.
func (b *budget) reserve(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full := now.Add(-budgetBurst * budgetEvery); b.allowed.Before(full) {
		b.allowed = full
	}
	b.allowed = b.allowed.Add(budgetEvery)
	return max(0, b.allowed.Sub(now))
}

// wait returns when the duration d has passed, when the channel kick has a value, or when ctx
// ends. It returns false if ctx has ended.
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
