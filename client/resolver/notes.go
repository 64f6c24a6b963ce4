package resolver

import (
	"context"
	"log/slog"

	"github.com/meshhealth/meshhealth/client"
)

// note is a record to be logged.
type note struct {
	level slog.Level
	text  string
	attrs []any
}

// write logs notes. The caller must not hold r.mu.
func (r *Resolver) write(notes []note) {
	for _, n := range notes {
		r.log.Log(context.Background(), n.level, n.text, n.attrs...)
	}
}

// noteOf returns a note about the new problem of a service, or about the end of its problem.
func noteOf(service string, kind problemKind, problem error) note {
	switch kind {
	case noProblem:
		return note{slog.LevelInfo, "resolver: the service has instances that can be called", []any{"service", service}}
	case hiddenAddresses:
		return note{slog.LevelError, "resolver: addresses are hidden, so instances cannot be called", []any{"service", service, "err", problem}}
	}
	return note{slog.LevelWarn, "resolver: no instance of the service can be called", []any{"service", service, "err", problem}}
}

// noteAway returns a note if the coordinator does not answer any more, or answers again. The caller
// must hold r.mu.
func (w *watch) noteAway(u *client.Update) []note {
	if u.Stale == w.away {
		return nil
	}
	w.away = u.Stale
	if u.Stale {
		return []note{{slog.LevelWarn, "resolver: the coordinator does not answer; channels keep the last known instances", []any{"err", u.Err}}}
	}
	return []note{{slog.LevelInfo, "resolver: the coordinator answers again", nil}}
}
