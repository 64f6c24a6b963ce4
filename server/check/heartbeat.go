package check

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/server"
)

// Heartbeat is beaten by a loop that should never stand still, and looked at by
// a check: the honest way to know that a worker lives. Make it with
// NewHeartbeat.
type Heartbeat struct {
	born time.Time
	last atomic.Int64 // since born
}

// NewHeartbeat returns one that has just been beaten.
func NewHeartbeat() *Heartbeat { return &Heartbeat{born: time.Now()} }

// Beat says that the loop has come by. It may be called from anywhere and
// allocates nothing.
func (h *Heartbeat) Beat() { h.last.Store(int64(time.Since(h.born))) }

// Check fails when the last Beat is longer ago than most.
func (h *Heartbeat) Check(most time.Duration) Func {
	if most <= 0 {
		return wrong("most", "is %v; allowed: more than 0", most)
	}
	return func(ctx context.Context) error {
		age := time.Since(h.born) - time.Duration(h.last.Load())
		server.Observe(ctx, age.Seconds(), "s")
		if age > most {
			return fmt.Errorf("no heartbeat for %v, allowed: %v", age.Round(time.Millisecond), most)
		}
		return nil
	}
}
