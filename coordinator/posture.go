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
