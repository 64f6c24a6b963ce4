package logs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/logs"
	"github.com/meshhealth/meshhealth/internal/logs/logtest"
)

// blocking is a log that takes nothing until it is let go.
type blocking struct {
	slog.Handler
	free chan struct{}
}

func (b *blocking) Handle(ctx context.Context, r slog.Record) error {
	<-b.free
	return b.Handler.Handle(ctx, r)
}

// lines is what a log has written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) count(part string) int { return strings.Count(l.all(), part) }

func textLog(w *lines) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
}

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lines
		log := logs.New(slog.New(textLog(&out)))
		for i := range 1000 {
			log.With("a", 1).WithGroup("g").Info("line", "i", i)
		}
		log.Flush(time.Second)
		got := strings.Split(strings.TrimSpace(out.all()), "\n")
		if len(got) != 1000 {
			t.Fatalf("%d lines, want 1000", len(got))
		}
		for i, line := range got {
			if !strings.Contains(line, "a=1 g.i="+slog.IntValue(i).String()) || log.Dropped() != 0 {
				t.Fatalf("line %d: %s", i, line)
			}
		}
	})
}

// TestBlockedLog: a log that blocks holds up no caller and takes no more memory
// than it may. It tells what was lost, and nothing runs once it works again.
func TestBlockedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lines
		b := &blocking{textLog(&out), make(chan struct{})}
		log := logs.New(slog.New(b))
		const n = 30_000
		for i := range n {
			log.Error("stuck", "text", strings.Repeat("x", 1000))
			if i == 0 {
				synctest.Wait() // the first record is being written, so all drops are after it
			}
		}
		dropped := int(log.Dropped())
		if kept := n - dropped; kept > logs.MaxWaiting/1000 || kept < 1000 {
			t.Errorf("%d records wait", kept)
		}
		began := time.Now()
		if log.Flush(time.Second); time.Since(began) != time.Second {
			t.Errorf("Flush took %v of a log that blocks, want 1s", time.Since(began))
		}
		close(b.free)
		log.Flush(time.Minute)
		if got := out.count("msg=stuck"); got+dropped != n {
			t.Errorf("%d written and %d dropped of %d", got, dropped, n)
		}
		if want := "records=" + slog.IntValue(dropped).String(); out.count("log records were dropped") != 1 || out.count(want) != 1 {
			t.Errorf("the log does not say %s", want)
		}
		log.Info("fine again")
		if log.Flush(time.Minute); out.count("fine again") != 1 {
			t.Error("nothing is written afterwards")
		}
	})
}

// TestDefault: without a logger the default one of the moment is used, from WARN
// up.
func TestDefault(t *testing.T) {
	logtest.KeepDefault(t)
	l := logs.New(nil)
	var first, second lines
	for _, out := range []*lines{&first, &second} {
		slog.SetDefault(slog.New(textLog(out)))
		l.With("part", 1).Info("quiet")
		l.Warn("loud")
		l.Flush(time.Minute)
		if out.count("quiet") != 0 || out.count("loud") != 1 {
			t.Errorf("got %q, want the warning only", out.all())
		}
	}
}

func TestSilence(t *testing.T) {
	log := logs.New(slog.New(slog.DiscardHandler))
	if log.Enabled(t.Context(), slog.LevelError) {
		t.Error("records are made for a log that discards them")
	}
}

func TestSharedQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &blocking{slog.DiscardHandler, make(chan struct{})}
		b.Handler = textLog(&lines{})
		outer := logs.New(slog.New(b))
		inner := logs.New(outer.With("part", "inner"))
		for range 30_000 {
			inner.Error("stuck", "text", strings.Repeat("x", 1000))
		}
		if outer.Dropped() == 0 || outer.Dropped() != inner.Dropped() {
			t.Errorf("dropped: %d and %d, want the same", outer.Dropped(), inner.Dropped())
		}
		close(b.free)
		synctest.Wait()
	})
}

type broken struct{ slog.Handler }

func (b broken) Enabled(ctx context.Context, level slog.Level) bool {
	if level == slog.LevelDebug {
		panic("the log does not know")
	}
	return b.Handler.Enabled(ctx, level)
}

func (broken) Handle(_ context.Context, r slog.Record) error {
	switch r.Message {
	case "panic":
		panic("the log is broken")
	case "exit":
		runtime.Goexit()
	}
	return errors.New("the log is full")
}

// TestBrokenLog: what a log does wrong ends nothing.
func TestBrokenLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := logs.New(slog.New(broken{textLog(&lines{})}))
		begun := time.Now()
		defer func() {
			if took := time.Since(begun); took > 0 {
				t.Errorf("Flush waited for %v, want not at all", took)
			}
		}()
		for range 3 {
			log.Error("panic", "error", errors.New("x"))
			log.Error("error")
			log.Debug("is it on?")
			log.Error("exit")
			log.Error("after")
			log.Flush(time.Second)
			synctest.Wait()
		}
	})
}

// TestDefaultOfABubble: a queue outside the bubble may still be writing when the
// default log becomes a test's record.
func TestDefaultOfABubble(t *testing.T) {
	logtest.KeepDefault(t)
	var before lines
	b := &blocking{textLog(&before), make(chan struct{})}
	slog.SetDefault(slog.New(b))
	outside := logs.New(nil)
	outside.Error("held")
	outside.Error("late")
	written := make(chan struct{})
	go func() { <-b.free; outside.Flush(time.Minute); close(written) }()
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Record
		out.AsDefault(t)
		close(b.free)
		<-written
		logs.New(nil).With("service", "payments").Error("mine")
		out.Want(t, "ERROR", "mine", "service=payments")
	})
}
