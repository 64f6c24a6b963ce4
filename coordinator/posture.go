package coordinator

import (
	"context"
	"time"
)

// warnOpenEvery is the interval at which a coordinator with InsecureOpen logs a warning.
const warnOpenEvery = time.Hour

// warnOpen logs at the start, and every hour, that everybody may do everything. It returns when ctx ends.
func (c *Coordinator) warnOpen(ctx context.Context) error {
	ticker := time.NewTicker(warnOpenEvery)
	defer ticker.Stop()
	for {
		c.cfg.Logger.Warn("insecure_open: everybody who reaches the coordinator may read, register and override everything; give tls and access_policy instead",
			"grpc", c.Addr().String())
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// NoteAccessFile says whether the policy in the file of Config.Access can be used. If it cannot, the call counts
// as a failed read, and the coordinator is DEGRADED until a call with true. The policy in use does not change.
// NoteAccessFile returns when the state is published. It may be called only while Run runs.
func (c *Coordinator) NoteAccessFile(ctx context.Context, usable bool) error {
	if usable {
		return c.registry.SetTrouble(ctx, "")
	}
	c.stats.accessFaults.Add(1)
	// The reason has no text of the file, because it would show names of rules to everybody who reads reasons.
	return c.registry.SetTrouble(ctx, "access_policy: the file cannot be used, so the previous policy stays in use; the log has the faults")
}
