package logs

import (
	"context"
	"log/slog"
	"time"
)

// MaxWaiting is the largest total size, in bytes, of the records that wait to be written.
const MaxWaiting = 4 << 20

// FlushTime is the longest time for which a server, client or coordinator waits at its end until
// its log records are written.
const FlushTime = time.Second

// Logger writes records in order in its own goroutine, so that a log that blocks does not block the
// caller. At most MaxWaiting bytes of records wait. Further records are dropped, and a later record
// says how many. The goroutine ends when no record waits.
//
// The methods may be called concurrently.
type Logger struct {
	*slog.Logger
	queue *queue
}

// New returns a Logger that writes to l. If l is nil, each record at WARN or above goes to
// [slog.Default]. If l is the slog.Logger of a Logger of this package, the two Loggers share the
// records that wait.
func New(l *slog.Logger) *Logger {
	if l == nil {
		return newLogger(&standard{func() slog.Handler { return slog.Default().Handler() }})
	}
	if queued, ok := l.Handler().(*handler); ok {
		return &Logger{Logger: l, queue: queued.queue}
	}
	return newLogger(l.Handler())
}

func newLogger(to slog.Handler) *Logger {
	q := &queue{limit: MaxWaiting}
	return &Logger{Logger: slog.New(&handler{queue: q, to: to}), queue: q}
}

// Flush waits until all records that were logged before the call have been written, but at most for
// limit.
func (l *Logger) Flush(limit time.Duration) { l.queue.flush(limit) }

// Dropped returns the number of records that were dropped since the process started.
func (l *Logger) Dropped() uint64 { return l.queue.droppedSoFar() }

// standard is a handler that passes each record at WARN or above to the handler of slog.Default at
// that time.
type standard struct{ now func() slog.Handler }

// Enabled implements slog.Handler.
func (s *standard) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && s.now().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (s *standard) Handle(ctx context.Context, r slog.Record) error { return s.now().Handle(ctx, r) }

// WithAttrs implements slog.Handler.
func (s *standard) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &standard{func() slog.Handler { return s.now().WithAttrs(attrs) }}
}

// WithGroup implements slog.Handler.
func (s *standard) WithGroup(name string) slog.Handler {
	return &standard{func() slog.Handler { return s.now().WithGroup(name) }}
}

// handler is the slog.Handler of a Logger. It adds records to a queue, which passes them to the
// handler to.
type handler struct {
	queue *queue
	to    slog.Handler
}

// Enabled implements slog.Handler. It calls the method Enabled of the handler that writes the log, in
// the goroutine of the caller. So this method must not block. If it panics, the record is enabled.
func (h *handler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() {
		if recover() != nil {
			enabled = true
		}
	}()
	return h.to.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.queue.add(entry{ctx: context.WithoutCancel(ctx), to: h.to, record: r.Clone(), size: sizeOf(&r)})
	return nil
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{queue: h.queue, to: h.to.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{queue: h.queue, to: h.to.WithGroup(name)}
}
