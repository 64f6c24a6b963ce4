package client

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	baseBackoff = 200 * time.Millisecond
	maxBackoff  = 10 * time.Second
	// maxAsked is the longest pause a coordinator may ask for.
	maxAsked = time.Minute
	// shortLife is how long a stream must live to count as a success. A
	// message is not enough: a server about to stop may well send one.
	shortLife = time.Second
)

// backoff gives growing pauses with full jitter: anything from nothing to the
// limit, so that those who lost the same coordinator do not return together.
type backoff struct {
	most  time.Duration // 0: maxBackoff
	tries int
}

func (b *backoff) next() time.Duration {
	most := b.most
	if most == 0 {
		most = maxBackoff
	}
	limit := min(baseBackoff<<min(b.tries, 16), most)
	b.tries++
	return rand.N(limit)
}

// after returns the pause after a failure: no less than the coordinator asks
// for, as far as that is reasonable.
func (b *backoff) after(err error) time.Duration {
	pause := b.next()
	if asked, ok := wire.RetryDelay(err); ok {
		pause = max(pause, min(asked, maxAsked))
	}
	if b.most > 0 {
		pause = min(pause, b.most)
	}
	return pause
}

// lived tells how long what has just failed had worked before.
func (b *backoff) lived(life time.Duration) {
	if life >= shortLife {
		b.tries = 0
	}
}

func (b *backoff) reset() { b.tries = 0 }

// The budget of a Client: so many streams may be opened at once, and so many a
// second.
const (
	budgetBurst = 20
	budgetEvery = 100 * time.Millisecond
)

// budget is shared by all streams of a client, so that a hundred of them do
// not come back a hundred times as often as one. The zero value is full.
type budget struct {
	mu   sync.Mutex
	next time.Time // when it would be full again, less the burst
}

// reserve takes one and returns how long to wait before using it.
func (b *budget) reserve(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full := now.Add(-budgetBurst * budgetEvery); b.next.Before(full) {
		b.next = full
	}
	b.next = b.next.Add(budgetEvery)
	return max(0, b.next.Sub(now))
}

// wait sleeps, unless kicked. It reports whether ctx still lasts.
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
