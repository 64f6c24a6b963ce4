package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

func TestStartingUntilEveryHoldingCheckHasRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &probe{within: honouring(time.Second)}
		late := &probe{within: honouring(1500 * time.Millisecond)}
		s := newServer(t, server.Config{})
		add(t, s,
			server.Check{Name: "quick", Run: pass},
			server.Check{Name: "slow", Run: slow.run},
			server.Check{Name: "optional", Run: late.run, OnFail: server.Degrade},
			server.Check{Name: "ignored", Run: late.run, OnFail: server.Ignore})
		wantStatus(t, s, health.Starting)
		start(t, s)
		wantStatus(t, s, health.Starting)
		if e := current(t, s); e.Cause != health.CauseStarting || !strings.Contains(e.Reason, "slow: starting") {
			t.Errorf("%v, %q", e.Cause, e.Reason)
		}
		time.Sleep(time.Second)
		wantStatus(t, s, health.Serving) // checks with Degrade or Ignore do not matter
	})
}

func TestServingWithoutChecksOnceRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		wantStatus(t, s, health.Starting)
		start(t, s)
		wantStatus(t, s, health.Serving)
	})
}

func TestThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: p.run, Every: 10 * time.Second})
		start(t, s)
		wantStatus(t, s, health.Serving)
		p.set(errDown)
		untilRun(t, p)
		wantStatus(t, s, health.Degraded) // the first failure shows at once
		first := p.runs()[1]
		untilRun(t, p)
		wantStatus(t, s, health.Degraded)
		untilRun(t, p)
		wantStatus(t, s, health.NotServing)
		e := current(t, s)
		if e.Cause != health.CauseFailed || e.Reason != "db: down" || !e.FirstFailure.Equal(first) {
			t.Errorf("%v, %q, first failure %v, want %v", e.Cause, e.Reason, e.FirstFailure, first)
		}
		p.set(health.Warning(errDown))
		untilRun(t, p)
		wantStatus(t, s, health.NotServing)
		p.set(nil)
		untilRun(t, p)
		wantStatus(t, s, health.Degraded) // a warning, then a pass
		untilRun(t, p)
		wantStatus(t, s, health.Serving)
		if e := current(t, s); e.Cause != health.CauseOK || e.Reason != "" || !e.FirstFailure.IsZero() {
			t.Errorf("%v, %q, %v", e.Cause, e.Reason, e.FirstFailure)
		}
	})
}

func TestFirstEvidenceDecidesAtOnce(t *testing.T) {
	for err, want := range map[error]health.Status{
		nil: health.Serving, errDown: health.NotServing, health.Warning(errDown): health.Degraded,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, server.Config{})
			add(t, s, server.Check{Name: "db", Run: func(context.Context) error { return err }})
			start(t, s)
			wantStatus(t, s, want)
		})
	}
}

func TestOnFail(t *testing.T) {
	for onFail, want := range map[server.OnFail]health.Status{
		server.Fail: health.NotServing, server.Degrade: health.Degraded, server.Ignore: health.Serving,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, server.Config{})
			add(t, s, server.Check{Name: "cache", Run: func(context.Context) error { return errDown }, OnFail: onFail})
			start(t, s)
			wantStatus(t, s, want)
			if c := current(t, s).Checks[0]; c.Status != health.NotServing || c.Cause != health.CauseFailed || c.Reason != "down" {
				t.Errorf("the check itself is %+v", c)
			}
		})
	}
}

func TestMinHoldDelaysImprovementOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{err: errDown}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: p.run, MinHold: time.Minute, RecoverAfter: 1})
		start(t, s)
		wantStatus(t, s, health.NotServing)
		p.set(nil)
		time.Sleep(time.Minute - time.Millisecond)
		wantStatus(t, s, health.NotServing)
		time.Sleep(time.Millisecond) // the schedule decides it, not a run
		wantStatus(t, s, health.Serving)
	})
}

func TestSetStatusIsPublishedWhenItReturns(t *testing.T) {
	s := newServer(t, server.Config{}) // without Run and without a bubble
	for _, want := range []health.Status{
		health.Serving, health.Degraded, health.NotServing, health.Starting, health.Maintenance, health.Serving,
	} {
		revision := s.Feed().Revision()
		if err := s.SetStatus(want, "by\nhand"); err != nil {
			t.Fatal(err)
		}
		e := current(t, s)
		if e.Status != want || e.Reason != "by hand" || e.Revision != revision+1 {
			t.Errorf("%v: %v, %q, revision %d after %d", want, e.Status, e.Reason, e.Revision, revision)
		}
		if err := s.SetStatus(want, "by\nhand"); err != nil || s.Feed().Revision() != revision+1 {
			t.Errorf("the same again: %v, revision %d", err, s.Feed().Revision())
		}
	}
	for _, no := range []health.Status{health.Unknown, health.Draining, 99} {
		if err := s.SetStatus(no, ""); err == nil {
			t.Errorf("%v was taken", no)
		}
	}
}

func TestSetStatusKeepsTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		set := func(status health.Status) {
			if err := s.SetStatus(status, ""); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		set(health.Serving)
		first := time.Now()
		set(health.Degraded)
		set(health.NotServing)
		if e := current(t, s); !e.FirstFailure.Equal(first) {
			t.Errorf("first failure %v, want %v", e.FirstFailure, first)
		}
		set(health.Serving)
		if e := current(t, s); !e.FirstFailure.IsZero() {
			t.Errorf("first failure %v, want none", e.FirstFailure)
		}
	})
}

func TestTheWorstSourceWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: p.run})
		start(t, s)
		if err := s.SetStatus(health.Degraded, "old binary"); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, s, health.Degraded)
		p.set(errDown)
		untilRun(t, p)
		if e := current(t, s); e.Status != health.Degraded || e.Reason != "old binary; db: down" {
			t.Errorf("%v, %q", e.Status, e.Reason)
		}
		untilRun(t, p)
		untilRun(t, p)
		wantStatus(t, s, health.NotServing)
		s.Remove("db")
		wantStatus(t, s, health.Degraded)
	})
}

func TestAddWhileServingDoesNotTakeItOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "a", Run: pass})
		start(t, s)
		p := &probe{err: errDown, within: honouring(time.Second)}
		add(t, s, server.Check{Name: "b", Run: p.run})
		wantStatus(t, s, health.Serving)
		if n := len(p.runs()); n != 1 {
			t.Errorf("%d runs, want one at once", n)
		}
		time.Sleep(time.Second)
		wantStatus(t, s, health.NotServing) // the first evidence decides
		s.Remove("b")
		wantStatus(t, s, health.Serving)
	})
}

func TestRemoveWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cancelled := false
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "a", Run: func(ctx context.Context) error {
			<-ctx.Done()
			cancelled = errors.Is(ctx.Err(), context.Canceled)
			return errDown
		}})
		start(t, s)
		s.Remove("a")
		wantStatus(t, s, health.Serving)
		if !cancelled {
			t.Error("its context went on")
		}
		if e := current(t, s); len(e.Checks) != 0 || e.Metrics.Failures != 0 {
			t.Errorf("what is left: %+v, %+v", e.Checks, e.Metrics)
		}
	})
}

func TestNothingIsPublishedForTheSameVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: p.run, OnFail: server.Ignore})
		start(t, s)
		revision := s.Feed().Revision()
		for range 5 {
			untilRun(t, p)
		}
		if got := s.Feed().Revision(); got != revision {
			t.Errorf("%d changes for five passes", got-revision)
		}
		p.set(errDown)
		untilRun(t, p)
		if got := s.Feed().Revision(); got != revision+1 {
			t.Errorf("%d changes for an ignored check's new verdict, want 1", got-revision)
		}
		if e := current(t, s); e.Transition() {
			t.Error("it is a transition")
		}
	})
}

// untilRun waits until p has run once more and the server has its outcome.
func untilRun(t *testing.T, p *probe) {
	t.Helper()
	n := len(p.runs())
	for range 4000 {
		if len(p.runs()) > n {
			synctest.Wait()
			return
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
	}
	t.Fatal("no run within 40 s")
}
