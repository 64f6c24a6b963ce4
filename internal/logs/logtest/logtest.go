package logtest

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Record is a log that can be read while it is written, and that can block. The zero
// value is ready.
type Record struct {
	// Blocked is a channel that blocks every write until it is closed. nil means that writes do
	// not block.
	Blocked chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (r *Record) Write(p []byte) (int, error) {
	if r.Blocked != nil {
		<-r.Blocked
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// Logger returns a logger that writes the records from INFO up to r.
func (r *Record) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// KeepDefault restores the default log at the end of the test.
func KeepDefault(t *testing.T) {
	before, out, flags := slog.Default(), log.Writer(), log.Flags()
	t.Cleanup(func() { slog.SetDefault(before); log.SetOutput(out); log.SetFlags(flags) })
}

// AsDefault makes slog.Default write to r until the end of the test, which must run in a synctest
// bubble. It ignores records from outside the bubble, because the queue of a server of an earlier
// test may still write some.
func (r *Record) AsDefault(t *testing.T) {
	KeepDefault(t)
	slog.SetDefault(slog.New(&bubbled{r.Logger().Handler(), time.Now().Year()}))
}

// bubbled is a handler that writes only the records of a synctest bubble. It finds them by the year:
// the clock of a bubble begins in the year 2000.
type bubbled struct {
	slog.Handler
	year int
}

// Handle implements slog.Handler.
func (b *bubbled) Handle(ctx context.Context, r slog.Record) error {
	if r.Time.Year() != b.year {
		return nil
	}
	return b.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (b *bubbled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &bubbled{b.Handler.WithAttrs(attrs), b.year}
}

// WithGroup implements slog.Handler.
func (b *bubbled) WithGroup(name string) slog.Handler {
	return &bubbled{b.Handler.WithGroup(name), b.year}
}

// Lines waits until all goroutines of the bubble are blocked. Then it returns the lines of a level.
func (r *Record) Lines(level string) []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for line := range strings.Lines(r.text.String()) {
		if strings.Contains(line, "level="+level) {
			found = append(found, line)
		}
	}
	return found
}

// Want fails the test unless there is exactly one line of a level, and this line contains all texts.
func (r *Record) Want(t *testing.T, level string, texts ...string) {
	t.Helper()
	lines := r.Lines(level)
	if len(lines) != 1 {
		t.Errorf("%d lines of level %s, want 1: %q", len(lines), level, lines)
		return
	}
	for _, text := range texts {
		if !strings.Contains(lines[0], text) {
			t.Errorf("the line does not contain %q: %s", text, lines[0])
		}
	}
}
