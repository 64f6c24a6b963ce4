package wire

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// Budget is a token bucket, which limits the rate of messages. It allows a burst of messages at
// once, and a number of messages per second in the long term. The zero value has no limit. Only one
// goroutine at a time may use a Budget. The times that callers pass to its methods must not
// decrease.
type Budget struct {
	perSecond, burst float64
	tokens           float64   // number of messages that were allowed at once at the time updated
	updated          time.Time // time at which tokens was computed; zero means that the bucket is full
}

// NewBudget returns a full Budget. perSecond 0 means no limit.
func NewBudget(perSecond, burst int) Budget {
	return Budget{perSecond: float64(perSecond), burst: float64(burst)}
}

// Take counts one message and reports whether the Budget allows it.
func (b *Budget) Take(now time.Time) bool {
	if b.perSecond == 0 {
		return true
	}
	b.tokens, b.updated = b.room(now), now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Full reports whether b allows as many messages now as a new Budget would.
func (b *Budget) Full(now time.Time) bool { return b.perSecond == 0 || b.room(now) >= b.burst }

func (b *Budget) room(now time.Time) float64 {
	if b.updated.IsZero() {
		return b.burst
	}
	return min(b.burst, b.tokens+now.Sub(b.updated).Seconds()*b.perSecond)
}

// FloodQuiet is how long an instance must stay within its Budget after it has exceeded the Budget.
// Before this time has passed, the instance counts as flooding.
const FloodQuiet = time.Minute

// Budgets has one Budget for each instance. It limits the messages on all streams of the instance
// together. A nil *Budgets has no limit. The methods may be called concurrently.
type Budgets struct {
	perSecond, burst int

	mu      sync.Mutex
	of      map[health.ID]*spending
	swept   time.Time
	dropped uint64
}

// spending is the Budget of one instance, with the time at which the instance last exceeded it.
type spending struct {
	budget   Budget
	exceeded time.Time // time at which a message last exceeded the Budget; zero means never
}

func (s *spending) floods(now time.Time) bool {
	return !s.exceeded.IsZero() && now.Sub(s.exceeded) < FloodQuiet
}

// NewBudgets returns Budgets with the same rate and burst for every instance.
func NewBudgets(perSecond, burst int) *Budgets {
	return &Budgets{perSecond: perSecond, burst: burst, of: map[health.ID]*spending{}}
}

// Take counts one message of an instance and reports whether its Budget allows it.
func (b *Budgets) Take(id health.ID, now time.Time) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sweep(now)
	s := b.of[id]
	if s == nil {
		s = &spending{budget: NewBudget(b.perSecond, b.burst)}
		b.of[id] = s
	}
	if s.budget.Take(now) {
		return true
	}
	s.exceeded = now
	return false
}

// sweep deletes each Budget that is full again and whose instance does not count as flooding. A new
// Budget would be equal. sweep does this at most once per FloodQuiet.
func (b *Budgets) sweep(now time.Time) {
	if now.Sub(b.swept) < FloodQuiet {
		return
	}
	b.swept = now
	for id, s := range b.of {
		if s.budget.Full(now) && !s.floods(now) {
			delete(b.of, id)
		}
	}
}

// Drop counts n messages that were read but ignored because they exceeded the Budget.
func (b *Budgets) Drop(n int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropped += uint64(n) // #nosec G115 -- n counts messages
}

// Dropped returns how many messages were read but ignored since the start of the process.
func (b *Budgets) Dropped() uint64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// Flooding returns the names of instances that have exceeded their Budget within the last
// FloodQuiet. The names are sorted, and only the first limit names are returned. total is the
// number of all such instances.
func (b *Budgets) Flooding(now time.Time, limit int) (names []string, total int) {
	if b == nil {
		return nil, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, s := range b.of {
		if s.floods(now) {
			names = append(names, id.String())
		}
	}
	slices.SortFunc(names, strings.Compare)
	return names[:min(len(names), limit)], len(names)
}
