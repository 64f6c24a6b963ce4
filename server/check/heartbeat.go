package check

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/server"
)

// Heartbeat shows that a loop makes progress: the loop calls Beat, and a check looks at
// the time of the last call. Create it with NewHeartbeat. Its methods may be called from
// any goroutine.
type Heartbeat struct {
	created time.Time
	last    atomic.Int64 // time of the last call of Beat, in ns since created
}

// NewHeartbeat returns a heartbeat. Its age is counted from now until the first Beat.
func NewHeartbeat() *Heartbeat { return &Heartbeat{created: time.Now()} }

// Beat records that the loop has made progress. It allocates nothing.
func (h *Heartbeat) Beat() { h.last.Store(int64(time.Since(h.created))) }

// Check returns a check that fails if the last call of Beat is longer ago than maxAge.
func (h *Heartbeat) Check(maxAge time.Duration) Func {
	if maxAge <= 0 {
		return invalid("maxAge", "is %v; allowed: more than 0", maxAge)
	}
	return func(ctx context.Context) error {
		age := time.Since(h.created) - time.Duration(h.last.Load())
		server.Observe(ctx, age.Seconds(), "s")
		if age > maxAge {
			return fmt.Errorf("no heartbeat for %v, allowed: %v", age.Round(time.Millisecond), maxAge)
		}
		return nil
	}
}
