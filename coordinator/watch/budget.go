package watch

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// perCall is what each call adds to the budget, and perSecond what time does,
	// so that the few may be made again, too.
	perCall   = 0.1
	perSecond = 1
	// maxBudget is what may be saved up.
	maxBudget = 50
)

// budget bounds the calls that are made again to about a tenth of all, over all
// targets: when most turn us away, to ask thrice as often would not help them.
type budget struct {
	calls atomic.Int64 // since tokens was last looked at

	mu     sync.Mutex
	tokens float64
	at     time.Time
}

func (b *budget) called() { b.calls.Add(1) }

// take reports whether one more may be made again.
func (b *budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.tokens, b.at = perSecond, now
	}
	b.tokens += perCall*float64(b.calls.Swap(0)) + perSecond*now.Sub(b.at).Seconds()
	b.tokens, b.at = min(maxBudget, b.tokens), now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
