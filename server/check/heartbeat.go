package check

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/server"
)

// Heartbeat shows whether a loop makes progress. The loop must call Beat, and a check looks at the
// time of the last call. Create a Heartbeat with NewHeartbeat. Its methods may be called
// concurrently.
type Heartbeat struct {
	created time.Time
	last    atomic.Int64 // time of the last call of Beat, in nanoseconds after created
}

// NewHeartbeat returns a Heartbeat. The call of NewHeartbeat counts as the first call of Beat.
func NewHeartbeat() *Heartbeat { return &Heartbeat{created: time.Now()} }

// Beat reports that the loop has made progress. It allocates no memory.
func (h *Heartbeat) Beat() { h.last.Store(int64(time.Since(h.created))) }

// Check returns a check that fails if the last call of Beat was more than maxAge ago.
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
