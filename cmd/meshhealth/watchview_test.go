package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// viewed is a watch on a terminal whose time the test sets.
type viewed struct {
	screen
	shell shell
	w     *watchPrinter
	now   time.Time
	b     strings.Builder
}

func newViewed(t *testing.T, columns int, env map[string]string, colour string) *viewed {
	v := &viewed{screen: screen{t: t, columns: columns}, shell: shell{columns: columns, env: env}, now: noon}
	v.w = newWatchPrinter(v.shell.app(), &watchFlags{output: output{format: "table", colour: colour}}, nil)
	v.w.view = newWatchView(v.w.pen, time.UTC, columns)
	return v
}

func (v *viewed) take(u client.Update) {
	v.t.Helper()
	u.Received = v.now
	v.w.view.note(&u)
	if err := v.w.print(&u); err != nil {
		v.t.Fatal(err)
	}
	v.write(v.w.view.flush(v.now))
}

func (v *viewed) entries(entries ...*pb.Health) {
	v.t.Helper()
	for _, h := range entries {
		h.At = timestamppb.New(v.now.Add(-1500 * time.Microsecond))
	}
	v.take(client.Update{Entries: entriesOf(entries...), Revision: v.w.revision + uint64(len(entries))})
}

// passes lets time pass, as the loop of the command does: it ticks whenever something is due.
func (v *viewed) passes(d time.Duration) {
	end := v.now.Add(d)
	for {
		next := v.w.view.deadline(v.now)
		if next.After(end) {
			v.now = end
			return
		}
		v.now = next
		v.w.view.tick(v.now)
		v.write(v.w.view.flush(v.now))
	}
}

func (v *viewed) types(keys string) (quit bool) {
	quit = v.w.view.key([]byte(keys), v.now)
	v.write(v.w.view.flush(v.now))
	return quit
}

func (v *viewed) step(what string) { fmt.Fprintf(&v.b, "== %s\n%s", what, v.taken()) }

// in returns an instance of a zone and a version.
func in(name, zone, version string, status pb.Status, cause pb.Cause) *pb.Health {
	h := entry(name, status, cause, 0, "dial tcp 10.0.0.7:9000: connect: connection refused")
	h.Zone, h.Version = zone, version
	return h
}

// TestWatchOnTerminal runs one incident on terminals of several widths and kinds.
func TestWatchOnTerminal(t *testing.T) {
	for name, c := range map[string]struct {
		columns int
		env     map[string]string
		colour  string
	}{
		"60": {60, nil, "never"}, "80": {80, nil, "never"}, "100": {100, nil, "never"}, "200": {200, nil, "never"},
		"colour":   {100, nil, "auto"},
		"no_color": {100, map[string]string{"NO_COLOR": "1"}, "auto"},
		"ascii":    {100, map[string]string{"LC_ALL": "C"}, "never"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newViewed(t, c.columns, c.env, c.colour)
			incident(v)
			golden(t, "testdata/watch_"+name+".golden", v.b.String())
		})
	}
}

func incident(v *viewed) {
	const well, bad = pb.Status_STATUS_SERVING, pb.Status_STATUS_NOT_SERVING
	v.take(client.Update{Snapshot: true, SnapshotEnd: true, Entries: entriesOf(mesh()...), Revision: 100})
	v.step("the snapshot: what is well is only counted")

	v.passes(time.Second)
	root := entry("db.primary", bad, pb.Cause_CAUSE_FAILED, 0, "0 of 1 routable")
	root.Affected, root.Counts = 1, &pb.Counts{NotServing: 1}
	v.entries(in("db.primary/pg-0", "b", "16.2", bad, pb.Cause_CAUSE_REFUSED), root)
	symptom := entry("payments", bad, pb.Cause_CAUSE_FAILED, 0, "")
	symptom.Root, symptom.Counts = "db.primary", &pb.Counts{NotServing: 3}
	v.passes(300 * time.Millisecond)
	v.entries(symptom)
	v.step("a root and its symptom")

	v.passes(2 * time.Second)
	v.taken()
	for part := range 3 { // 60 changes in 0.2 s: 20 lines, and one for the rest
		var many []*pb.Health
		for i := range 20 {
			many = append(many, in(fmt.Sprintf("search/pod-%02d", 20*part+i), "b", "1.4.3", bad, pb.Cause_CAUSE_REFUSED))
		}
		v.entries(many...)
		v.passes(100 * time.Millisecond)
	}
	v.passes(time.Second)
	v.step("60 changes in 0.2 s")

	v.entries(in("mail/a", "a", "2", bad, pb.Cause_CAUSE_TIMEOUT))
	for range maxLinesPerSecond {
		v.entries(in("mail/b", "a", "2", bad, pb.Cause_CAUSE_TIMEOUT), in("mail/b", "a", "2", well, pb.Cause_CAUSE_OK))
	}
	v.passes(time.Second)
	v.step("changes of different kinds")

	v.types("p")
	v.entries(in("mail/a", "a", "2", well, pb.Cause_CAUSE_OK), in("mail/c", "c", "3", bad, pb.Cause_CAUSE_TLS))
	v.passes(3 * time.Second)
	v.step("paused")
	v.types("p")
	v.step("continued")

	v.types("/zone=")
	v.types("\r")
	v.step("a wrong filter")
	v.types("d\x7fa,cause=tls\r")
	v.passes(time.Second)
	v.entries(in("mail/c", "a", "3", bad, pb.Cause_CAUSE_TLS), in("mail/d", "b", "3", bad, pb.Cause_CAUSE_TLS))
	v.step("the filter lets one of two changes through")
	v.types("\x1b[A") // an arrow key means nothing
	v.types("\x1b")
	v.step("without a filter")

	v.take(client.Update{Stale: true, Err: errors.New("connection refused")})
	v.passes(5 * time.Second)
	v.step("an outage")
	v.take(client.Update{Gap: true, Snapshot: true, SnapshotEnd: true, Entries: entriesOf(mesh()...), Revision: 4000})
	v.passes(time.Second)
	v.step("its end, with a gap")

	if !v.types("q") {
		v.t.Error("q does not end the watch")
	}
	v.write(v.w.view.finish(v.now))
	v.step("the end")
}

// TestWatchLosesNothingInAPipe checks that a pipe and JSON have each of many changes.
func TestWatchLosesNothingInAPipe(t *testing.T) {
	for _, format := range []string{"table", "json", "jsonl"} {
		var s shell
		w := newWatchPrinter(s.app(), &watchFlags{output: output{format: format, colour: "auto"}}, nil)
		if err := w.print(&client.Update{Snapshot: true, SnapshotEnd: true, Received: noon}); err != nil {
			t.Fatal(err)
		}
		const n = 500
		for i := range n {
			u := client.Update{Entries: entriesOf(in(fmt.Sprintf("a/%d", i), "z", "1", isNotServing, pb.Cause_CAUSE_REFUSED)), Received: noon}
			if err := w.print(&u); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Count(s.out.String(), "\n"); got != n {
			t.Errorf("%s: %d lines, want %d", format, got, n)
		}
		if strings.ContainsAny(s.out.String(), "\r\x1b") {
			t.Errorf("%s: has control characters", format)
		}
	}
}

// TestRepaints checks when the command watch writes a line again.
func TestRepaints(t *testing.T) {
	for _, c := range []struct {
		env    map[string]string
		format string
		plain  bool
		want   bool
	}{
		{nil, "table", false, true},
		{nil, "json", false, false},
		{nil, "jsonl", false, false},
		{nil, "table", true, false},
		{map[string]string{"ACCESSIBLE": "1"}, "table", false, false},
		{map[string]string{"ACCESSIBLE": "0"}, "table", false, true},
		{map[string]string{"TERM": "dumb"}, "table", false, false},
	} {
		s := shell{columns: 80, env: c.env}
		a := s.app()
		a.plain = c.plain
		f := &watchFlags{output: output{format: c.format}}
		if a.repaints(f) {
			t.Errorf("%+v: repaints without a terminal", c)
		}
		a.terminal = &fakeTerminal{}
		if got := a.repaints(f); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// fakeTerminal is a terminal that records whether it is in raw mode.
type fakeTerminal struct {
	io.Reader
	raw, restored bool
}

func (f *fakeTerminal) Columns() int { return 80 }

func (f *fakeTerminal) Raw() (func(), error) {
	f.raw = true
	return func() { f.restored = true }, nil
}

// TestTerminalIsRestored checks that the terminal is restored however the watch ends.
func TestTerminalIsRestored(t *testing.T) {
	broken := errors.New("broken")
	endless := func(ctx context.Context) iter.Seq2[client.Update, error] {
		return func(yield func(client.Update, error) bool) {
			if yield(client.Update{Snapshot: true, SnapshotEnd: true, Received: noon}, nil) {
				<-ctx.Done()
				yield(client.Update{}, ctx.Err())
			}
		}
	}
	for name, c := range map[string]struct {
		keys  string
		watch func(context.Context) iter.Seq2[client.Update, error]
		want  error
	}{
		"q":            {"q", endless, nil},
		"Ctrl-C":       {"\x03", endless, nil},
		"failed watch": {"", func(context.Context) iter.Seq2[client.Update, error] { return yields(client.Update{}, broken) }, broken},
		"refused at first": {"", func(context.Context) iter.Seq2[client.Update, error] {
			return yields(client.Update{Stale: true, Err: broken}, nil)
		}, broken},
		"panic": {"", func(context.Context) iter.Seq2[client.Update, error] {
			return yields(client.Update{Entries: []*client.Entry{nil}}, nil) // no message has such an entry
		}, errPanic},
	} {
		t.Run(name, func(t *testing.T) {
			s := shell{columns: 80}
			a := s.app()
			tty := &fakeTerminal{Reader: strings.NewReader(c.keys)}
			a.terminal = tty
			w := newWatchPrinter(a, &watchFlags{output: output{format: "table"}}, nil)
			w.view = newWatchView(w.pen, time.UTC, 80)
			err := func() (err error) {
				defer func() {
					if recover() != nil {
						err = errPanic
					}
				}()
				return w.watchOnTerminal(t.Context(), c.watch)
			}()
			if !errors.Is(err, c.want) || !tty.raw || !tty.restored {
				t.Errorf("%v, raw %v, restored %v", err, tty.raw, tty.restored)
			}
			if !strings.HasSuffix(s.out.String(), clearLine) {
				t.Errorf("the status line is still there: %q", s.out.String())
			}
		})
	}
}

var errPanic = errors.New("panic")

// yields returns a Watch that yields one update.
func yields(u client.Update, err error) iter.Seq2[client.Update, error] {
	return func(yield func(client.Update, error) bool) { yield(u, err) }
}
