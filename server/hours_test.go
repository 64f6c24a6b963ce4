package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
)

// TestThousandsForHours: a tenth of 10,000 checks fails, panics, hangs and recovers, for
// an hour each.
func TestThousandsForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		good, bad := &probe{within: honouring(10 * time.Millisecond)}, &probe{within: honouring(10 * time.Millisecond)}
		checks := make([]server.Check, n)
		for i := range checks {
			run := good.run
			if i%10 == 0 {
				run = bad.run
			}
			checks[i] = server.Check{Name: fmt.Sprint(i), Run: run, Every: 30 * time.Minute, MinHold: time.Minute, BreakAfter: 5}
		}
		s := newServer(t, server.Config{MaxConcurrent: 64})
		add(t, s, checks...)
		start(t, s)
		release := make(chan struct{})
		for _, hour := range []struct {
			what   string
			err    error
			within func(context.Context)
			cause  health.Cause
		}{
			{"well", nil, honouring(10 * time.Millisecond), health.CauseOK},
			{"failing", errDown, honouring(10 * time.Millisecond), health.CauseFailed},
			{"well again", nil, honouring(10 * time.Millisecond), health.CauseOK},
			{"panicking", nil, func(context.Context) { panic("no") }, health.CausePanic},
			{"hanging", nil, func(context.Context) { <-release }, health.CauseTimeout},
		} {
			bad.takes(hour.within)
			bad.set(hour.err)
			time.Sleep(time.Hour)
			want := health.Serving
			if hour.cause != health.CauseOK {
				want = health.NotServing
			}
			wantStatus(t, s, want)
			wrong := 0
			for i, c := range s.Checks() {
				if well := i%10 != 0 || hour.cause == health.CauseOK; well != (c.Status == health.Serving) || !well && c.Cause != hour.cause {
					wrong++
				}
			}
			if wrong > 0 {
				t.Errorf("%s: %d of %d checks are not as they should be", hour.what, wrong, n)
			}
		}
		close(release)
		bad.takes(nil)
		time.Sleep(time.Hour)
		wantStatus(t, s, health.Serving)
		if most := good.atOnce(); most > 64 {
			t.Errorf("%d at once, want 64 at most", most)
		}
	})
}

// TestHoursOfMoods: checks randomly pass, warn, fail, are slow, hang and panic. No check
// is SERVING too long after its last pass, or again before RecoverAfter passes. No check
// is NOT_SERVING after one failure, and no two runs of a check overlap.
func TestHoursOfMoods(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, server.Config{})
			all := make([]moody, 10)
			for i := range all {
				all[i].dice = rand.New(rand.NewPCG(seed, uint64(i)))
				add(t, s, server.Check{Name: fmt.Sprint(i), Every: 10 * time.Second, Run: all[i].run})
			}
			stop := start(t, s)
			was := make([]health.Status, len(all))
			seen := map[health.Status]int{}
			for range int(6 * time.Hour / time.Second) {
				time.Sleep(time.Second)
				synctest.Wait()
				for i, c := range s.Checks() {
					all[i].judge(t, was[i], c.Status)
					was[i] = c.Status
					seen[c.Status]++
				}
			}
			for _, status := range []health.Status{health.Serving, health.Degraded, health.NotServing} {
				if seen[status] < 100 {
					t.Errorf("seen %v: there was too little of something", seen)
				}
			}
			stop()
			time.Sleep(time.Minute) // runs that hang end by themselves
		})
	}
}

// moody is a check with random outcomes, and the state that an observer expects.
type moody struct {
	dice *rand.Rand // only one run at a time uses it
	mood int

	mu     sync.Mutex
	active int
	passed time.Time // time of the last pass
	passes int       // in a row
}

func (m *moody) run(context.Context) (err error) {
	began := time.Now()
	m.mu.Lock()
	m.active++
	m.mu.Unlock()
	err = errDown // for a panic
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.active--
		if err == nil && time.Since(began) < 2050*time.Millisecond { // the timeout and the grace
			m.passed = time.Now()
			m.passes++
		} else {
			m.passes = 0
		}
	}()
	if m.dice.IntN(10) == 0 {
		m.mood = m.dice.IntN(8)
	}
	switch m.mood {
	case 0:
		return health.Warnf("so so")
	case 1:
		return errDown
	case 2:
		time.Sleep(time.Duration(m.dice.IntN(40)) * 100 * time.Millisecond)
	case 3:
		time.Sleep(time.Minute)
	case 4:
		panic("no")
	}
	return nil
}

func (m *moody) judge(t *testing.T, was, is health.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// The worst case is the longest interval, the timeout, and a wait for a worker.
	if age := time.Since(m.passed); is == health.Serving && age > 11*time.Second+2*(2*time.Second+50*time.Millisecond) {
		t.Errorf("green %v after it passed", age)
	}
	if is == health.Serving && was == health.NotServing && m.passes < 2 {
		t.Errorf("green again after %d passes", m.passes)
	}
	if is == health.NotServing && was == health.Serving {
		t.Error("red at the first failure")
	}
	if m.active > 1 {
		t.Errorf("%d runs at once", m.active)
	}
}

// TestThresholdsAtExactTimes: each change has the time of the run that reached the
// threshold.
func TestThresholdsAtExactTimes(t *testing.T) {
	for _, policy := range []health.Policy{
		{FailAfter: 1, RecoverAfter: 1},
		{FailAfter: 3, RecoverAfter: 2},
		{FailAfter: 5, RecoverAfter: 10, DegradeAfter: 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &probe{}
			at := map[health.Status]time.Time{}
			var mu sync.Mutex
			s := newServer(t, server.Config{OnTransition: func(c health.Change) {
				mu.Lock()
				defer mu.Unlock()
				at[c.Status] = time.Now()
			}})
			add(t, s, server.Check{
				Name: "db", Run: p.run, Every: 10 * time.Second,
				FailAfter: policy.FailAfter, RecoverAfter: policy.RecoverAfter, DegradeAfter: policy.DegradeAfter,
			})
			start(t, s)
			for range 100 { // ten hours of changing outcomes
				p.set(errDown)
				failing := len(p.runs())
				time.Sleep(3 * time.Minute)
				p.set(nil)
				passing := len(p.runs())
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				mu.Lock()
				runs := p.runs()
				if got, want := at[health.NotServing], runs[failing+policy.FailAfter-1]; !got.Equal(want) {
					t.Errorf("%+v: red at %v, want %v", policy, got, want)
				}
				if got, want := at[health.Serving], runs[passing+policy.RecoverAfter-1]; !got.Equal(want) {
					t.Errorf("%+v: green at %v, want %v", policy, got, want)
				}
				mu.Unlock()
			}
		})
	}
}
