package server_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/server"
)

func TestFirstRunsAreAtOnceThenSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const checks, every = 100, 10 * time.Second
		s := newServer(t, server.Config{MaxConcurrent: -1})
		probes := make([]probe, checks)
		for i := range probes {
			add(t, s, server.Check{Name: fmt.Sprint(i), Run: probes[i].run})
		}
		begun := time.Now()
		start(t, s)
		for i := range probes {
			if runs := probes[i].runs(); len(runs) != 1 || runs[0] != begun {
				t.Fatalf("check %d: first run at %v, want one at once", i, runs)
			}
		}
		time.Sleep(every + time.Second)
		var tenths [10]int
		for i := range probes {
			second := probes[i].runs()[1].Sub(begun)
			if second > every+time.Millisecond {
				t.Errorf("check %d: second run after %v", i, second)
			}
			tenths[min(9, second*10/every)]++
		}
		for i, n := range tenths {
			// The expected value is 10. A value of 0 or 30 has a probability below
			// 1/30,000.
			if n == 0 || n > 30 {
				t.Errorf("%d of %d second runs in tenth %d of the interval: %v", n, checks, i, tenths)
			}
		}
	})
}

// TestFewChecksStartOnTime checks that single checks start exactly when they are due, also in
// a server with many checks.
func TestFewChecksStartOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{MaxConcurrent: -1})
		others := make([]server.Check, 1000)
		for i := range others {
			others[i] = server.Check{Name: fmt.Sprint(i), Run: pass, Every: 10 * time.Hour}
		}
		add(t, s, others...)
		begun := time.Now()
		start(t, s)
		time.Sleep(time.Second)
		var probes [5]probe
		// The delays differ by more than the pause after one check, and are in any part of a
		// slot of the wheel.
		for i := range probes {
			delay := time.Duration(i+1) * 1_234_567 * time.Microsecond / 100
			add(t, s, server.Check{Name: fmt.Sprint("single", i), Run: probes[i].run, InitialDelay: delay})
		}
		time.Sleep(time.Second)
		for i := range probes {
			want := time.Second + time.Duration(i+1)*1_234_567*time.Microsecond/100
			if runs := probes[i].runs(); len(runs) == 0 || runs[0].Sub(begun) != want {
				t.Errorf("check %d began at %v, want %v after the start", i, runs, want)
			}
		}
	})
}

// TestManyChecksStartTogether checks that many checks start in groups of 10 ms, and that no
// check starts later than 10 ms after it was due.
func TestManyChecksStartTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const checks, apart = 1000, 100 * time.Microsecond
		s := newServer(t, server.Config{MaxConcurrent: -1})
		probes := make([]probe, checks)
		for i := range probes {
			add(t, s, server.Check{Name: fmt.Sprint(i), Run: probes[i].run, Every: time.Hour, InitialDelay: time.Duration(i) * apart})
		}
		begun := time.Now()
		start(t, s)
		time.Sleep(time.Second)
		moments := map[time.Time]bool{}
		for i := range probes {
			runs := probes[i].runs()
			due := begun.Add(time.Duration(i) * apart)
			if late := runs[0].Sub(due); late < 0 || late > 10*time.Millisecond {
				t.Fatalf("check %d began %v after it was due", i, late)
			}
			moments[runs[0]] = true
		}
		if n := len(moments); n < 10 || n > 20 {
			t.Errorf("%d moments in which checks began, want one in 10 ms, and some more at first", n)
		}
	})
}

func TestJitterIsATenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "a", Run: p.run, Every: 10 * time.Second})
		start(t, s)
		time.Sleep(time.Hour)
		gaps := gaps(p.runs()[1:]) // without the random phase
		if least, most := slices.Min(gaps), slices.Max(gaps); least < 9*time.Second || least > 9300*time.Millisecond ||
			most > 11*time.Second || most < 10700*time.Millisecond {
			t.Errorf("intervals of %v to %v, want 9 s to 11 s, used to the full", least, most)
		}
	})
}

func TestReprobeWhileInDoubt(t *testing.T) {
	for every, want := range map[time.Duration]time.Duration{
		time.Minute: 12 * time.Second, 10 * time.Second: 2 * time.Second, 3 * time.Second: time.Second,
		500 * time.Millisecond: 500 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &probe{err: errDown}
			s := newServer(t, server.Config{})
			add(t, s, server.Check{Name: "a", Run: p.run, Every: every})
			start(t, s)
			time.Sleep(20 * want)
			for _, gap := range gaps(p.runs()) {
				if gap < want*9/10 || gap > want*11/10 {
					t.Errorf("every %v: next look after %v, want %v", every, gap, want)
				}
			}
			p.set(nil)
			untilRun(t, p) // one pass of two: the status is still in doubt
			untilRun(t, p)
			wantStatus(t, s, health.Serving)
		})
	}
}

func TestSlowChecksAreLeftAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{within: honouring(2 * time.Second), err: errDown}
		s := newServer(t, server.Config{})
		add(t, s, server.Check{Name: "a", Run: p.run, Every: 10 * time.Second, Timeout: 3 * time.Second})
		start(t, s)
		time.Sleep(time.Minute)
		for _, gap := range gaps(p.runs()) {
			if gap < 3*time.Second {
				t.Errorf("begins %v after the last began, which took 2 s", gap)
			}
		}
	})
}

func TestCapAndPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		active, most := 0, 0
		s := newServer(t, server.Config{MaxConcurrent: 2})
		for i, priority := range []int{0, 5, -1, 5, 9, 0} {
			name := fmt.Sprintf("%d:%d", priority, i)
			add(t, s, server.Check{Name: name, Priority: priority, Every: 1000 * time.Hour, Run: func(context.Context) error {
				mu.Lock()
				order = append(order, name)
				active++
				most = max(most, active)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				active--
				mu.Unlock()
				return nil
			}})
		}
		start(t, s)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if most != 2 {
			t.Errorf("%d at once, want 2", most)
		}
		// Two runs that begin at the same moment may be recorded in either order.
		for i := 0; i < len(order); i += 2 {
			slices.Sort(order[i : i+2])
		}
		if want := []string{"5:1", "9:4", "0:0", "5:3", "-1:2", "0:5"}; !slices.Equal(order, want) {
			t.Errorf("order %q, want %q", order, want)
		}
	})
}

func TestDefaultCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &probe{within: honouring(time.Second)}
		s := newServer(t, server.Config{})
		for i := range 40 {
			add(t, s, server.Check{Name: fmt.Sprint(i), Run: p.run})
		}
		start(t, s)
		time.Sleep(10 * time.Second)
		if n := p.atOnce(); n != server.DefaultMaxConcurrent {
			t.Errorf("%d at once, want %d", n, server.DefaultMaxConcurrent)
		}
	})
}

func TestRemoveWhileWaitingForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, third := &probe{within: honouring(time.Second)}, &probe{}, &probe{}
		s := newServer(t, server.Config{MaxConcurrent: 1})
		add(t, s, server.Check{Name: "a", Run: first.run})
		start(t, s)
		// Both run before the next run of the first.
		add(t, s, server.Check{Name: "b", Run: second.run, Priority: 2}, server.Check{Name: "c", Run: third.run, Priority: 1})
		synctest.Wait()
		s.Remove("b")
		time.Sleep(time.Second)
		synctest.Wait()
		if len(second.runs()) != 0 || len(third.runs()) != 1 {
			t.Errorf("removed: %d runs; the next: %d", len(second.runs()), len(third.runs()))
		}
		wantStatus(t, s, health.Serving)
	})
}

func TestEvidenceGetsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// MaxConcurrent is 1, and an important check always runs. The evidence of the
		// other check becomes stale.
		p := &probe{}
		hog := &probe{}
		s := newServer(t, server.Config{MaxConcurrent: 1})
		add(t, s, server.Check{Name: "db", Run: p.run, Every: 10 * time.Second, StaleAfter: 5 * time.Second})
		start(t, s)
		wantStatus(t, s, health.Serving)
		hog.takes(honouring(24 * time.Hour))
		add(t, s, server.Check{Name: "hog", Run: hog.run, Every: 2 * time.Hour, Timeout: time.Hour, OnFail: server.Ignore})
		wantStatus(t, s, health.Serving)
		// The evidence is stale at the latest after the next run, its timeout, slack and StaleAfter.
		time.Sleep(10*time.Second + 2*time.Second + time.Second + 5*time.Second + time.Millisecond)
		wantStatus(t, s, health.NotServing)
		if e := current(t, s); e.Cause != health.CauseStale || e.Reason != "db: stale" {
			t.Errorf("%v, %q", e.Cause, e.Reason)
		}
		s.Remove("hog")
		time.Sleep(5 * time.Second)
		wantStatus(t, s, health.Serving)
	})
}

func TestStaleAfterNegativeIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hog := &probe{within: honouring(24 * time.Hour)}
		s := newServer(t, server.Config{MaxConcurrent: 1})
		add(t, s, server.Check{Name: "db", Run: pass, StaleAfter: -1})
		start(t, s)
		add(t, s, server.Check{Name: "hog", Run: hog.run, Every: 2 * time.Hour, Timeout: time.Hour, OnFail: server.Ignore})
		time.Sleep(time.Hour - time.Second)
		wantStatus(t, s, health.Serving)
	})
}

func TestBeatsOnlyWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, server.Config{})
		beats := 0
		go func() {
			r := s.Feed().NewReader(feed.Interest{Period: 1})
			for {
				step, err := r.Next(t.Context())
				if err != nil {
					return
				}
				if step.Beat {
					beats++
				}
			}
		}()
		time.Sleep(10 * time.Second)
		if synctest.Wait(); beats != 0 {
			t.Errorf("%d beats without Run", beats)
		}
		stop := start(t, s)
		time.Sleep(10*time.Second + time.Millisecond)
		if synctest.Wait(); beats != 10 {
			t.Errorf("%d beats in 10 s, want 10", beats)
		}
		stop()
		time.Sleep(10 * time.Second)
		if synctest.Wait(); beats != 10 {
			t.Errorf("%d beats after Run", beats-10)
		}
	})
}

func gaps(times []time.Time) []time.Duration {
	var all []time.Duration
	for i := 1; i < len(times); i++ {
		all = append(all, times[i].Sub(times[i-1]))
	}
	return all
}
