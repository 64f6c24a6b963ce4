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

// told is a check with a background function, which receives errors to report.
type told struct {
	probe
	news chan error
}

func (c *told) check(ctx context.Context) error {
	server.Background(ctx, func(life context.Context, again func()) {
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

// TestBackground: a call of again makes the check run at once, although its interval is
// 1,000 hours. Many calls make it run once per MinEvery.
func TestBackground(t *testing.T) {
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

// TestBackgroundDuringARun: a call of again during a run causes one more run.
func TestBackgroundDuringARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &told{news: make(chan error)}
		c.takes(honouring(time.Second))
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

// TestBackgroundEnds: Remove and the end of Run end the background function. Run waits for it
// and names the functions that do not return. The bubble fails if a goroutine is left.
func TestBackgroundEnds(t *testing.T) {
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
				server.Background(ctx, func(life context.Context, _ func()) { f(life); end(name) })
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
			t.Error("Remove must end the background function of its check and no other")
		}
		cancel()
		err := <-done
		if !errors.Is(err, server.ErrStuck) || !strings.Contains(err.Error(), "deaf") || strings.Contains(err.Error(), "kept") {
			t.Errorf("Run: %v", err)
		}
		if !has("kept") {
			t.Error("Run has returned before a background function")
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestBackgroundOutsideARun: Background does nothing outside of a run.
func TestBackgroundOutsideARun(t *testing.T) {
	server.Background(t.Context(), func(context.Context, func()) { t.Error("was called") })
}

// TestTuneWhileItRuns finds races with the race detector.
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
