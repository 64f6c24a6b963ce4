package watch

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// asking is a wheel that turns, and what it has asked.
type asking struct {
	t     *testing.T
	w     *wheel
	every time.Duration
	stop  func()

	polls   atomic.Int64
	running atomic.Int64
	most    atomic.Int64
}

func newAsking(t *testing.T, every time.Duration) *asking {
	a := &asking{t: t, every: every}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	a.w = newWheel(every, &wg)
	wg.Go(func() { a.w.run(ctx) })
	a.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(a.stop)
	return a
}

// fake is a target that takes so long.
type fake struct {
	a     *asking
	takes time.Duration
	doubt bool
	ends  bool
	told  atomic.Int64
	spoke *spoke

	mu sync.Mutex
	at []time.Time
}

func (a *asking) add(takes time.Duration) *fake {
	f := &fake{a: a, takes: takes}
	f.spoke = newSpoke(f)
	a.w.add(f.spoke)
	return f
}

func (f *fake) ask() next {
	f.mu.Lock()
	first := len(f.at) == 0
	f.at = append(f.at, time.Now())
	f.mu.Unlock()
	f.a.polls.Add(1)
	n := f.a.running.Add(1)
	defer f.a.running.Add(-1)
	for most := f.a.most.Load(); n > most && !f.a.most.CompareAndSwap(most, n); most = f.a.most.Load() {
	}
	time.Sleep(f.takes)
	if first {
		return next{in: rand.N(f.a.every), ends: f.ends}
	}
	return next{in: jitter(f.a.every, rand.Float64()), ends: f.ends}
}

func (f *fake) doubtful() bool                         { return f.doubt }
func (f *fake) unasked(context.Context, time.Duration) { f.told.Add(1) }

func (f *fake) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.at...)
}

// covers lets the wheel turn for long, and compares what it says it has covered
// with what was asked, as the targets count it.
func (a *asking) covers(targets int, want float64) {
	a.t.Helper()
	time.Sleep(coverageWindow) // until all is in its window
	before := a.polls.Load()
	time.Sleep(coverageWindow)
	synctest.Wait()
	counted := min(1, float64(a.polls.Load()-before)/(float64(targets)*float64(coverageWindow/a.every)))
	says := a.w.covered(time.Now())
	if math.Abs(says-counted) > 0.01 || math.Abs(says-want) > 0.01 {
		a.t.Errorf("%d targets: covered %.3f, they count %.3f, want %.3f", targets, says, counted, want)
	}
}

// TestWheelKeepsUp: as long as it can, all are asked when they should be.
func TestWheelKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, time.Second)
		if got := a.w.covered(time.Now()); got != 1 {
			t.Errorf("nothing to poll is covered by %v, want 1", got)
		}
		for range 1000 {
			a.add(100 * time.Millisecond)
		}
		a.covers(1000, 1)
	})
}

// TestWheelStretches: beyond what it can, everybody is asked less often, by as
// much as it says; never more at once than there may be.
func TestWheelStretches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, time.Second)
		var all []*fake
		for range 2 * maxPolls { // each takes half an interval: as many again would fit
			all = append(all, a.add(500*time.Millisecond))
		}
		a.covers(2*maxPolls, 1)
		for range 2 * maxPolls {
			all = append(all, a.add(500*time.Millisecond))
		}
		a.covers(4*maxPolls, 0.5)
		if a.most.Load() != maxPolls {
			t.Errorf("%d at once, want %d", a.most.Load(), maxPolls)
		}
		for _, f := range all {
			at := f.times()
			if _, most := gaps(at[len(at)-10:]); most > 2500*time.Millisecond {
				t.Fatalf("one was asked after %v, want all after 2 s or so", most)
			}
		}
	})
}

// TestWheelDoesNotCatchUp: what was missed is not made up for.
func TestWheelDoesNotCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, time.Second)
		f := a.add(0)
		time.Sleep(10 * time.Second)
		var hang []*fake
		for range maxPolls {
			hang = append(hang, a.add(time.Minute))
		}
		time.Sleep(40 * time.Second)
		if got := a.w.covered(time.Now()); got > 0.05 {
			t.Errorf("covered %v while nobody is asked", got)
		}
		for _, h := range hang {
			a.w.remove(h.spoke)
		}
		time.Sleep(time.Minute)
		least, most := gaps(f.times()[2:])
		if least < 800*time.Millisecond || most < 50*time.Second {
			t.Errorf("asked after %v to %v, want once late and then as ever", least, most)
		}
		time.Sleep(coverageWindow)
		if got := a.w.covered(time.Now()); got != 1 {
			t.Errorf("covered %v when all is as before", got)
		}
	})
}

// TestWheelLanes: who does not answer, and takes long for that, does not keep
// those waiting who do.
func TestWheelLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, time.Second)
		for range 10 * maxPolls {
			f := &fake{a: a, takes: 4 * time.Second, doubt: true}
			f.spoke = newSpoke(f)
			a.w.add(f.spoke)
		}
		time.Sleep(time.Minute)
		if most := a.most.Load(); most != maxDoubted {
			t.Errorf("%d that do not answer are asked at once, want %d", most, maxDoubted)
		}
		f := a.add(0)
		time.Sleep(time.Minute)
		if _, most := gaps(f.times()); most > 1200*time.Millisecond {
			t.Errorf("one that answers was asked after %v", most)
		}
	})
}

// TestWheelRests: one that takes longer than its interval is not asked without a
// pause, and that is not our lateness.
func TestWheelRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, time.Second)
		f := a.add(1500 * time.Millisecond)
		time.Sleep(time.Minute)
		if least, _ := gaps(f.times()); least < 1600*time.Millisecond {
			t.Errorf("asked again %v after it was, want a rest", least)
		}
		if got := a.w.covered(time.Now()); got != 1 {
			t.Errorf("covered %v", got)
		}
	})
}

// TestWheelLetsGo: whatever a target does when it leaves, done is closed when
// nobody asks it any more.
func TestWheelLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, time.Minute)
		ended := a.add(0)
		ended.ends = true
		idle, asked := a.add(0), a.add(10*time.Second)
		time.Sleep(time.Second)
		<-ended.spoke.done
		a.w.remove(ended.spoke)
		a.w.remove(idle.spoke)
		<-idle.spoke.done
		began := time.Now()
		a.w.remove(asked.spoke)
		if <-asked.spoke.done; time.Since(began) != 9*time.Second {
			t.Errorf("let go of %v after, want when it has answered", time.Since(began))
		}
		for range maxPolls {
			a.add(10 * time.Second)
		}
		time.Sleep(time.Second)
		waits := a.add(0)
		time.Sleep(time.Second)
		a.w.remove(waits.spoke)
		<-waits.spoke.done
		if time.Sleep(time.Minute); len(waits.times()) != 0 {
			t.Error("one that has left was asked")
		}
	})
}

// TestWheelNeglects: of those who wait for long that is told, once, and they are
// not asked meanwhile.
func TestWheelNeglects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, time.Second)
		for range maxPolls {
			a.add(time.Minute)
		}
		time.Sleep(time.Second)
		var wait []*fake
		for range 3 {
			wait = append(wait, a.add(0))
		}
		time.Sleep(14 * time.Second)
		if got := a.w.neglected(time.Now(), 15*time.Second); len(got) != 0 {
			t.Errorf("%d too early", len(got))
		}
		time.Sleep(2 * time.Second)
		got := a.w.neglected(time.Now(), 15*time.Second)
		a.w.remove(got[1])
		a.w.putBack(got)
		<-got[1].done
		if again := a.w.neglected(time.Now(), 15*time.Second); len(got) != 3 || len(again) != 0 {
			t.Errorf("%d, then %d, want 3, and none twice", len(got), len(again))
		}
		time.Sleep(2 * time.Minute)
		for _, f := range wait {
			if asked, left := len(f.times()) > 0, f.spoke == got[1]; asked == left {
				t.Errorf("asked: %v, has left: %v", asked, left)
			}
		}
	})
}

// TestWheelLate: that we woke late is known to who judges a wait that overlaps
// that, also before the wheel itself has noticed.
func TestWheelLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		w := newWheel(time.Second, &wg)
		began := time.Now()
		w.turn(began)
		if time.Sleep(time.Second + lateSlack); w.wasLate(began) {
			t.Error("late within the slack")
		}
		if time.Sleep(time.Millisecond); !w.wasLate(began) {
			t.Error("not late")
		}
		if w.turn(time.Now()); !w.wasLate(began) || w.wasLate(time.Now()) {
			t.Error("late before, and not since")
		}
	})
}
