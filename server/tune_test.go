package server_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// TestTune changes thresholds and times of a running check by name.
func TestTune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "db", Run: p.run})
		start(t, s)
		if err := s.Tune(map[string]server.Tuning{"db": {Every: time.Minute, FailAfter: 1}}); err != nil {
			t.Fatal(err)
		}
		untilRun(t, p)
		before := len(p.runs())
		time.Sleep(10 * time.Minute)
		if n := len(p.runs()) - before; n < 8 || n > 12 {
			t.Errorf("%d runs in ten minutes, want one a minute", n)
		}
		p.set(errDown)
		time.Sleep(70 * time.Second)
		wantStatus(t, s, health.NotServing) // after the first failure
	})
}

// TestTuneIsAllOrNone: the error names all faults, and nothing is changed.
func TestTuneIsAllOrNone(t *testing.T) {
	s := newServer(t, server.Config{})
	add(t, s, server.Check{Name: "a", Run: pass}, server.Check{Name: "b", Run: pass})
	err := s.Tune(map[string]server.Tuning{"a": {Timeout: time.Hour, FailAfter: -1}, "b": {Every: time.Hour}})
	wantFields(t, err, "Timeout", "FailAfter", "DegradeAfter")
	if err := s.Tune(map[string]server.Tuning{"nobody": {}}); !errors.Is(err, server.ErrNoCheck) {
		t.Errorf("%v", err)
	}
}

// TestOnTransition: the hook is called for each change, from the first run to the end.
func TestOnTransition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var heard []string
		p := &probe{}
		s := newServer(t, server.Config{OnTransition: func(c health.Change) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, c.From.String()+" "+c.Status.String())
			panic("which harms nobody")
		}})
		add(t, s, server.Check{Name: "db", Run: p.run})
		stop := start(t, s)
		p.set(errDown)
		time.Sleep(time.Minute)
		stop()
		want := []string{"STARTING SERVING", "SERVING DEGRADED", "DEGRADED NOT_SERVING", "NOT_SERVING DRAINING"}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
}

// TestOnTransitionMayBlock: nothing waits for a hook that blocks, and its next call has
// the latest change.
func TestOnTransitionMayBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard, over := make(chan health.Change), make(chan struct{})
		s := newServer(t, server.Config{OnTransition: func(c health.Change) {
			select {
			case heard <- c:
			case <-over:
			}
		}})
		start(t, s)
		defer close(over)
		for range 100 {
			for _, status := range []health.Status{health.NotServing, health.Serving, health.Degraded} {
				if err := s.SetStatus(status, ""); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantStatus(t, s, health.Degraded)
		n := 1
		for c := <-heard; c.Status != health.Degraded; c = <-heard {
			n++
		}
		if n > 3 {
			t.Errorf("heard of %d changes, most of them long undone", n)
		}
	})
}
