package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAppend(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := start(t, dir, Options{Detail: "version 1"})
	l.add(t, "a", "b")
	equal(t, "the objects before the end", objects(t, dir, Write), []string{"a", "b"})
	l.end()
	l = start(t, dir, Options{})
	l.add(t, "c")
	l.end()
	equal(t, "objects", objects(t, dir, Write), []string{"a", "b", "c"})
	equal(t, "kinds", kindsIn(t, dir), []Kind{Start, Write, Write, Start, Write})
	r := sound(t, dir)
	if s := l.Stats(); s.Lines != 5 || s.Hash != r.LastHash || s.Bytes == 0 || len(s.Damage) > 0 || s.Failing != nil || r.Lines != 5 {
		t.Errorf("stats %+v, report %+v", s, r)
	}
}

// TestModes: only the user can read what the log makes.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := start(t, dir, Options{})
	l.add(t, "a")
	l.Note(refusal("b"))
	l.end()
	for name, want := range map[string]fs.FileMode{
		"": 0o700 | fs.ModeDir, firstFile: 0o600, "refused-000001.jsonl": 0o600, "lock": 0o600,
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestRefusedRecords(t *testing.T) {
	l := start(t, t.TempDir(), Options{})
	for name, c := range map[string]struct {
		change func(*Record)
		want   string
	}{
		"a refusal":      {func(r *Record) { r.Kind = Refused }, `kind: is "refused"; allowed: write, policy`},
		"other source":   {func(r *Record) { r.Source = "" }, `source: is ""; allowed: certificate, token, socket, anonymous, coordinator`},
		"other outcome":  {func(r *Record) { r.Outcome = "ok" }, `outcome: is "ok"; allowed: accepted, failed,`},
		"nothing at all": {func(r *Record) { *r = Record{} }, `kind: is ""`},
	} {
		r := record("a")
		c.change(&r)
		if err := l.Append(context.Background(), r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opts Options
		want string
	}{
		"a small segment":   {Options{SegmentBytes: 1}, "SegmentBytes: is 1; allowed: at least 65536"},
		"a negative bound":  {Options{MaxBytes: -1}, "MaxBytes: is -1; allowed: at least 33554432"},
		"only one segment":  {Options{SegmentBytes: 1 << 20, MaxBytes: 1 << 20}, "MaxBytes: is 1048576; allowed: at least 2097152"},
		"the same, refused": {Options{SegmentBytes: 1 << 20, MaxRefusedBytes: 1 << 20}, "MaxRefusedBytes: is 1048576"},
	} {
		if _, err := Open(t.TempDir(), c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestLocked(t *testing.T) {
	l := start(t, t.TempDir(), Options{})
	if _, err := Open(l.dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("the second log of a folder: %v", err)
	}
	l.end()
	start(t, l.dir, Options{})
}

func TestNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "audit")} {
		if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "give a folder") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestEnd: what waits when Run ends is written, and nothing is accepted after that.
func TestEnd(t *testing.T) {
	l, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	l.Note(refusal("a"))
	if err := errors.Join(l.Run(ctx), l.Close()); err != nil {
		t.Fatal(err)
	}
	l.Note(refusal("b"))
	if err := l.Append(context.Background(), record("c")); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	equal(t, "refused", objects(t, l.dir, Refused), []string{"a"})
}

// TestGroupCommit: all callers that wait share one sync, and none is answered before it.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 1000
		l, err := Open(t.TempDir(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		answered := 0
		for i := range callers {
			wg.Go(func() {
				if err := l.Append(t.Context(), record(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				answered++
			})
		}
		synctest.Wait()
		if answered != 0 {
			t.Errorf("%d callers are answered before anything is written", answered)
		}
		ctx, stop := context.WithCancel(t.Context())
		wg.Go(func() { _ = l.Run(ctx) })
		synctest.Wait()
		if s := l.Stats(); answered != callers || s.Lines != callers+1 || s.Syncs != 1 {
			t.Errorf("%d callers are answered, %d lines, %d syncs; want %d, %d and 1", answered, s.Lines, s.Syncs, callers, callers+1)
		}
		stop()
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWithdraw: a caller need not wait, and a line that is not being written is withdrawn.
func TestWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(t.TempDir(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := l.Append(ctx, record("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := l.Append(ctx, record("b")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := errors.Join(l.Run(ctx), l.Close()); err != nil {
			t.Error(err)
		}
		equal(t, "kinds", kindsIn(t, l.dir), []Kind{Start})
	})
}

// TestFull: the number of waiting callers is bounded.
func TestFull(t *testing.T) {
	l, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range maxWaiting {
		if err := l.enqueue(t.Context(), &request{stamped: stamped{Record: record("a")}, done: make(chan error, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Append(t.Context(), record("b")); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := errors.Join(l.Run(ctx), l.Close()); err != nil {
		t.Fatal(err)
	}
	if r := sound(t, l.dir); r.Lines != maxWaiting+1 {
		t.Errorf("%d lines", r.Lines)
	}
}

// TestRate: of a flood of refusals, in each second ten are written, and one line counts the others.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, seconds = 1000, 5
		l := start(t, t.TempDir(), Options{})
		for range perSecond * seconds {
			l.Note(refusal("x"))
			time.Sleep(time.Second / perSecond) // the clock of the bubble
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stats := l.Stats()
		l.end()
		times := map[Kind][]time.Time{}
		written, counted := 0, uint64(0)
		_, err := Read(l.dir, func(l *Line) bool {
			times[l.Kind] = append(times[l.Kind], l.Time)
			if l.Kind == Refused {
				written++
			}
			counted += l.Count
			return true
		})
		if err != nil || uint64(written)+counted != perSecond*seconds || stats.Dropped != counted {
			t.Errorf("%d written, %d counted (%d in Stats), of %d; %v", written, counted, stats.Dropped, perSecond*seconds, err)
		}
		if len(times[Dropped]) > seconds+1 {
			t.Errorf("%d lines count refusals", len(times[Dropped]))
		}
		for kind, most := range map[Kind]int{Refused: maxRate, Dropped: 1} {
			for i, at := range times[kind] {
				if i >= most && at.Sub(times[kind][i-most]) < time.Second {
					t.Errorf("more than %d lines of the kind %s between %v and %v", most, kind, times[kind][i-most], at)
				}
			}
		}
		sound(t, l.dir)
	})
}

// TestNoteInvalid: a record that is not valid is noted too.
func TestNoteInvalid(t *testing.T) {
	l := start(t, t.TempDir(), Options{})
	l.Note(Record{Source: "rumour"})
	l.end()
	if got := kindsIn(t, l.dir); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// TestNotesWait: while nothing is written, Note keeps a bounded number and counts the others.
func TestNotesWait(t *testing.T) {
	c := &clock{now: noon}
	l, err := Open(t.TempDir(), Options{Now: c.read})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * maxNotes {
		l.Note(refusal("x"))
		c.add(time.Second)
	}
	if s := l.Stats(); s.Dropped != maxNotes {
		t.Errorf("%d dropped, want %d", s.Dropped, maxNotes)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := errors.Join(l.Run(ctx), l.Close()); err != nil {
		t.Fatal(err)
	}
	if n := len(objects(t, l.dir, Refused)); n != maxNotes {
		t.Errorf("%d refusals are written, want %d", n, maxNotes)
	}
}
