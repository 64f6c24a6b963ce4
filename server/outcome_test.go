package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

func TestTimeoutOfACheckThatHeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Timeout: 3 * time.Second, Run: func(ctx context.Context) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 3*time.Second {
				t.Errorf("deadline %v, %v", deadline, ok)
			}
			<-ctx.Done()
			// A warning after the timeout is still a failure.
			return health.Warnf("dial db-3: %w", ctx.Err())
		}})
		start(t, s)
		time.Sleep(3*time.Second + time.Millisecond)
		wantStatus(t, s, health.NotServing)
		c := current(t, s).Checks[0]
		if c.Cause != health.CauseTimeout || c.Reason != "dial db-3: context deadline exceeded" || c.ResponseTime != 3*time.Second {
			t.Errorf("%+v", c)
		}
	})
}

func TestTimeoutIsEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{within: ignoring(time.Minute)}
		other := &probe{}
		s := newServer(t, server.Config{MaxConcurrent: 1})
		add(t, s, server.Check{Name: "stuck", Run: p.run, Priority: 1}, server.Check{Name: "other", Run: other.run})
		stop := start(t, s)
		time.Sleep(2 * time.Second)
		wantStatus(t, s, health.Starting)
		time.Sleep(50 * time.Millisecond)
		wantStatus(t, s, health.NotServing)
		if e := current(t, s); e.Cause != health.CauseTimeout || e.Reason != "stuck: no answer within 2s, and still running" {
			t.Errorf("%v, %q", e.Cause, e.Reason)
		}
		if len(other.runs()) != 1 {
			t.Error("the stuck run still takes the only place")
		}
		time.Sleep(time.Minute)
		if n := len(other.runs()); n < 5 {
			t.Errorf("the other ran %d times in a minute", n)
		}
		stop()
		time.Sleep(time.Minute) // the run ends only by itself
	})
}

func TestStuckRunIsNeverDoubled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "a", Run: p.run})
		start(t, s)
		wantStatus(t, s, health.Serving)
		p.takes(ignoring(5 * time.Minute))
		untilRun(t, p)
		runs := len(p.runs())
		time.Sleep(2*time.Second + 50*time.Millisecond)
		wantStatus(t, s, health.Degraded) // the timeout is the first failure
		// Each missed run is another failure: two more make three.
		time.Sleep(2 * 2 * time.Second * 11 / 10)
		wantStatus(t, s, health.NotServing)
		if e := current(t, s); e.Cause != health.CauseTimeout {
			t.Errorf("%v, %q", e.Cause, e.Reason)
		}
		time.Sleep(4 * time.Minute)
		if len(p.runs()) != runs || p.atOnce() != 1 {
			t.Errorf("%d runs beside the stuck one, %d at once", len(p.runs())-runs, p.atOnce())
		}
		wantStatus(t, s, health.NotServing)
		if c := current(t, s).Checks[0]; c.Runs != uint64(runs) {
			t.Errorf("%d runs counted, want %d", c.Runs, runs)
		}
		// The late pass does not count. The next passes count.
		p.takes(nil)
		time.Sleep(time.Minute)
		wantStatus(t, s, health.Serving)
	})
}

func TestPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newServer(t, server.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		add(t, s, server.Check{Name: "db", Run: func(context.Context) error {
			panic(fmt.Errorf("nil\tmap\u202e"))
		}})
		stop := start(t, s)
		wantStatus(t, s, health.NotServing)
		e := current(t, s)
		if e.Cause != health.CausePanic || e.Reason != "db: panic: nil map " || e.Checks[0].Reason != "panic: nil map " {
			t.Errorf("%v, %q, %q", e.Cause, e.Reason, e.Checks[0].Reason)
		}
		stop()
		if text := log.String(); !strings.Contains(text, "outcome_test.go") || !strings.Contains(text, "to=NOT_SERVING") {
			t.Errorf("the log has no stack or no transition: %s", text)
		}
	})
}

// spiteful is an error that panics when its text is read.
type spiteful struct{}

func (spiteful) Error() string { panic("I will not say") }

func TestErrorsThatPanicAndGoexitAreFailures(t *testing.T) {
	for want, run := range map[string]func(context.Context) error{
		"panic: I will not say":         func(context.Context) error { return spiteful{} },
		"the check ended its goroutine": func(context.Context) error { runtime.Goexit(); return nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, server.Config{})
			add(t, s, server.Check{Name: "a", Run: run})
			start(t, s)
			wantStatus(t, s, health.NotServing)
			if c := current(t, s).Checks[0]; c.Cause != health.CausePanic || c.Reason != want {
				t.Errorf("%v, %q, want %q", c.Cause, c.Reason, want)
			}
		})
	}
}

func TestTextOfChecksIsCleaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "a", Run: func(context.Context) error {
			return errors.New("\x1b[31m" + strings.Repeat("x", 5000) + "\xff")
		}})
		start(t, s)
		synctest.Wait()
		for _, text := range []string{current(t, s).Reason, current(t, s).Checks[0].Reason} {
			if len(text) > 1024 || strings.Contains(text, "\x1b") || strings.ToValidUTF8(text, "") != text {
				t.Errorf("%d bytes: %q", len(text), text)
			}
		}
	})
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		n := 0.0
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "pool", Run: func(ctx context.Context) error {
			if kept != nil {
				server.Observe(kept, -1, "of a run that is over")
			}
			kept, n = ctx, n+1
			server.Observe(ctx, 41, "")
			server.Observe(ctx, 41+n, strings.Repeat("conns", 10))
			return health.Warnf("run %v", n)
		}})
		server.Observe(context.Background(), 1, "nobody asked")
		start(t, s)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		c := current(t, s).Checks[0]
		if !c.HasValue || c.Value != 42 || len(c.Unit) > 32 || !strings.HasPrefix(c.Unit, "conns") {
			t.Errorf("published: %+v", c)
		}
		server.Observe(kept, -1, "of a run that is over")
	})
}

func TestRunReturnsWhenItsChecksHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy, unruly, stuck := &probe{within: honouring(time.Hour)}, &probe{within: ignoring(time.Hour)}, &probe{within: ignoring(time.Hour)}
		s := newServer(t, server.Config{})
		add(t, s,
			server.Check{Name: "tidy", Run: tidy.run, Every: 2 * time.Hour, Timeout: time.Hour},
			server.Check{Name: "unruly", Run: unruly.run, Every: time.Minute, Timeout: 10 * time.Second},
			server.Check{Name: "stuck", Run: stuck.run, Timeout: time.Second})
		tidy.set(errDown)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(5 * time.Second)
		begun := time.Now()
		stop()
		err := <-ended
		if !errors.Is(err, server.ErrStuck) || !strings.Contains(err.Error(), "stuck") || !strings.Contains(err.Error(), "unruly") || strings.Contains(err.Error(), "tidy") {
			t.Errorf("Run: %v, want stuck and unruly named", err)
		}
		// Run waits for the rest of the timeout of "unruly". The timeout of "stuck" has
		// ended already.
		if took := time.Since(begun); took != 5*time.Second+50*time.Millisecond {
			t.Errorf("Run returned after %v", took)
		}
		if c := current(t, s).Checks[0]; c.Failures != 0 {
			t.Errorf("what came of cancelling counts: %+v", c)
		}
		wantStatus(t, s, health.Draining)
		if err := s.SetStatus(health.Serving, ""); !errors.Is(err, server.ErrLeaving) {
			t.Errorf("SetStatus after Run: %v", err)
		}
		if err := s.Run(t.Context()); !errors.Is(err, server.ErrRanTwice) {
			t.Errorf("Run again: %v", err)
		}
		time.Sleep(2 * time.Hour) // both runs end by themselves
	})
}

func TestChecksMayUseTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "a", Run: func(context.Context) error {
			_ = s.Status()
			if err := s.SetStatus(health.Serving, ""); err != nil {
				return err
			}
			s.Remove("a")
			return s.Add(server.Check{Name: "b", Run: pass})
		}})
		start(t, s)
		wantStatus(t, s, health.Serving)
		if c := current(t, s).Checks; len(c) != 1 || c[0].Name != "b" {
			t.Errorf("%+v", c)
		}
	})
}
