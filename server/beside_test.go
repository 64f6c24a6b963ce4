package server_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// told is a check with something beside it that is told of changes.
type told struct {
	probe
	news chan error
}

func (c *told) check(ctx context.Context) error {
	server.Beside(ctx, func(life context.Context, again func()) {
		for {
			select {
			case err := <-c.news:
				c.set(err)
				again()
			case <-life.Done():
				return
			}
		}
	})
	return c.run(ctx)
}

// TestBesideACheck: news make it run at once, though the next run is an hour
// off; a flood of them, not more often than MinEvery.
func TestBesideACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &told{news: make(chan error)}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "told", Run: c.check, Every: 1000 * time.Hour, FailAfter: 1})
		start(t, s)
		wantStatus(t, s, health.Serving)
		time.Sleep(time.Minute)
		c.news <- errDown
		wantStatus(t, s, health.NotServing)

		before := len(c.runs())
		for range 1000 {
			c.news <- errDown
			time.Sleep(time.Millisecond)
		}
		if n := len(c.runs()) - before; n < 9 || n > 11 {
			t.Errorf("%d runs in a second of news, want 10", n)
		}
	})
}

// TestBesideARunThatRuns: news that come while it runs make it run once more.
func TestBesideARunThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &told{news: make(chan error)}
		c.takes(heeding(time.Second))
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "told", Run: c.check, Every: 1000 * time.Hour, FailAfter: 1})
		start(t, s)
		time.Sleep(500 * time.Millisecond)
		c.news <- nil
		time.Sleep(2 * time.Second)
		if n := len(c.runs()); n != 2 {
			t.Errorf("%d runs, want 2", n)
		}
	})
}

// TestBesideEnds with Remove and with Run, which waits for it and names what
// stays. The bubble fails if a goroutine is left.
func TestBesideEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ended := map[string]bool{}
		end := func(name string) {
			mu.Lock()
			defer mu.Unlock()
			ended[name] = true
		}
		has := func(name string) bool {
			mu.Lock()
			defer mu.Unlock()
			return ended[name]
		}
		beside := func(name string, f func(context.Context)) server.Check {
			return server.Check{Name: name, Run: func(ctx context.Context) error {
				server.Beside(ctx, func(life context.Context, _ func()) { f(life); end(name) })
				return nil
			}}
		}
		heeds := func(life context.Context) { <-life.Done() }
		s := newServer(t, server.Config{})
		add(t, s, beside("removed", heeds), beside("kept", heeds), beside("panics", func(context.Context) { panic("x") }),
			beside("deaf", func(context.Context) { time.Sleep(time.Hour) }))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		s.Remove("removed")
		synctest.Wait()
		if !has("removed") || has("kept") {
			t.Error("Remove ends what is beside a check, and nothing else")
		}
		cancel()
		err := <-done
		if !errors.Is(err, server.ErrStuck) || !strings.Contains(err.Error(), "deaf") || strings.Contains(err.Error(), "kept") {
			t.Errorf("Run: %v", err)
		}
		if !has("kept") {
			t.Error("Run has returned before what ran beside a check")
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestBesideOutsideARun does nothing.
func TestBesideOutsideARun(t *testing.T) {
	server.Beside(t.Context(), func(context.Context, func()) { t.Error("was called") })
}

// TestTuneWhileItRuns: under the race detector.
func TestTuneWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: p.run, Every: server.MinEvery})
		start(t, s)
		for i := range 1000 {
			if err := s.Tune(map[string]server.Tuning{"db": {FailAfter: 1 + i%3}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
	})
}
