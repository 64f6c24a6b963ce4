package resolver

import (
	"log/slog"
)

// note is a record to be logged.
type note struct {
	level slog.Level
	text  string
	attrs []any
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
