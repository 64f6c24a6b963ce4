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

// Record is the text of a log. A test can read it while other goroutines write to it, and can block
// all writes. The zero value is an empty log.
type Record struct {
	// Blocked makes every write wait until the channel is closed. nil means that writes do
	// not wait. It must be set before the first write.
	Blocked chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer. It waits until Blocked is closed.
func (r *Record) Write(p []byte) (int, error) {
	if r.Blocked != nil {
		<-r.Blocked
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// Logger returns a logger that writes to r. It leaves out records below the level INFO.
func (r *Record) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// KeepDefault restores the default loggers of log/slog and log at the end of the test.
func KeepDefault(t *testing.T) {
	before, out, flags := slog.Default(), log.Writer(), log.Flags()
	t.Cleanup(func() { slog.SetDefault(before); log.SetOutput(out); log.SetFlags(flags) })
}

// AsDefault makes slog.Default write to r until the end of the test. The test must run in a
// synctest bubble. Records of goroutines outside the bubble are ignored, because a server of an
// earlier test may still write records.
func (r *Record) AsDefault(t *testing.T) {
	KeepDefault(t)
	slog.SetDefault(slog.New(&bubbled{r.Logger().Handler(), time.Now().Year()}))
}

// bubbled is a handler that writes only the records from a synctest bubble. It recognises them by
// the year of their time: the clock of a bubble begins in the year 2000.
type bubbled struct {
	slog.Handler
	year int
}

// Handle implements slog.Handler. It drops records from outside the bubble.
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

// Lines waits until all goroutines of the synctest bubble are blocked. It then returns the lines
// of the log that have this level, such as "WARN".
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

// Want fails the test unless the log has exactly one line of this level, and the line contains
// all texts.
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
