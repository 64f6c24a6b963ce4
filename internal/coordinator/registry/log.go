package registry

import (
	"context"
	"log/slog"

	"github.com/meshhealth/meshhealth/health"
)

// logChange logs one line for a change that is a transition. It logs nothing for other
// changes.
func logChange(log *slog.Logger, c *health.Change) {
	if !c.Recorded() {
		return
	}
	level := slog.LevelInfo
	if c.Status == health.NotServing || c.Status == health.Unknown {
		level = slog.LevelWarn
	}
	if !log.Enabled(context.Background(), level) {
		return
	}
	attrs := []any{"name", c.ID.String(), "from", c.From.String(), "to", c.Status.String(), "cause", c.Cause.String()}
	if c.Reason != "" {
		attrs = append(attrs, "reason", c.Reason)
	}
	if c.Removed {
		attrs = append(attrs, "removed", true)
	}
	log.Log(context.Background(), level, "transition", attrs...)
}
