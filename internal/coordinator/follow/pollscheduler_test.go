package follow

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/internal/delay"
	"github.com/meshhealth/meshhealth/internal/late"
)

// schedulerRig is a running scheduler, and the number of its polls.
type schedulerRig struct {
	t         *testing.T
	scheduler *pollScheduler
	every     time.Duration
	stop      func()

	polls   atomic.Int64
	running atomic.Int64
	most    atomic.Int64
}

func newSchedulerRig(t *testing.T, every time.Duration) *schedulerRig {
	a := &schedulerRig{t: t, every: every}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	a.scheduler = newPollScheduler(every, &wg)
	wg.Go(func() { a.scheduler.run(ctx) })
	a.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(a.stop)
	return a
}

// fake is a target whose polls take a fixed time.
type fake struct {
	a         *schedulerRig
	takes     time.Duration
	isSuspect bool
	ends      bool
	told      atomic.Int64
	task      *pollTask

	mu sync.Mutex
	at []time.Time
}

func (a *schedulerRig) add(takes time.Duration) *fake { return a.addFake(&fake{takes: takes}) }

// addFake adds a target that is already set up, because its first poll is due at once.
func (a *schedulerRig) addFake(f *fake) *fake {
	f.a, f.task = a, newPollTask(f)
	a.scheduler.add(f.task)
	return f
}

func (f *fake) poll() pollResult {
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
		return pollResult{delay: rand.N(f.a.every), ends: f.ends}
	}
	return pollResult{delay: delay.Around(f.a.every, rand.Float64()), ends: f.ends}
}

func (f *fake) suspect() bool                            { return f.isSuspect }
func (f *fake) notPolled(context.Context, time.Duration) { f.told.Add(1) }

func (f *fake) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.at...)
}

// covers lets the scheduler run for long. It compares the reported coverage with the
// polls that the targets have counted.
func (a *schedulerRig) covers(targets int, want float64) {
	a.t.Helper()
	time.Sleep(coverageWindow) // until the window holds only polls of this load
	before := a.polls.Load()
	time.Sleep(coverageWindow)
	synctest.Wait()
	counted := min(1, float64(a.polls.Load()-before)/(float64(targets)*float64(coverageWindow/a.every)))
	says := a.scheduler.coveredAt(time.Now())
	if math.Abs(says-counted) > 0.01 || math.Abs(says-want) > 0.01 {
		a.t.Errorf("%d targets: coverage %.3f, counted %.3f, want %.3f", targets, says, counted, want)
	}
}

// TestPollSchedulerKeepsUp tests that all polls are made when they are due, while there
// are enough workers.
func TestPollSchedulerKeepsUp(t *testing.T) {
	if raced {
		t.Skip("thousands of timers in one bubble; runs without the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		a := newSchedulerRig(t, time.Second)
		if got := a.scheduler.coveredAt(time.Now()); got != 1 {
			t.Errorf("coverage %v without targets, want 1", got)
		}
		for range 1000 {
			a.add(100 * time.Millisecond)
		}
		a.covers(1000, 1)
	})
}

// TestPollSchedulerStretches tests a scheduler with too many targets. All intervals
// grow in the same proportion, which is the reported coverage. The bound of polls in
// progress holds.
func TestPollSchedulerStretches(t *testing.T) {
	if raced {
		t.Skip("thousands of timers in one bubble; runs without the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		a := newSchedulerRig(t, time.Second)
		var all []*fake
		for range 2 * maxPolls { // each poll takes half an interval, so this is the most that fits
			all = append(all, a.add(500*time.Millisecond))
		}
		a.covers(2*maxPolls, 1)
		for range 2 * maxPolls {
			all = append(all, a.add(500*time.Millisecond))
		}
		a.covers(4*maxPolls, 0.5)
		if a.most.Load() != maxPolls {
			t.Errorf("%d polls in progress, want %d", a.most.Load(), maxPolls)
		}
		for _, f := range all {
			at := f.times()
			if _, most := gaps(at[len(at)-10:]); most > 2500*time.Millisecond {
				t.Fatalf("an interval of %v, want about 2 s for all", most)
			}
		}
	})
}

// TestPollSchedulerDoesNotCatchUp tests that missed polls are not made up for.
func TestPollSchedulerDoesNotCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSchedulerRig(t, time.Second)
		f := a.add(0)
		time.Sleep(10 * time.Second)
		var hang []*fake
		for range maxPolls {
			hang = append(hang, a.add(time.Minute))
		}
		time.Sleep(40 * time.Second)
		if got := a.scheduler.coveredAt(time.Now()); got > 0.05 {
			t.Errorf("coverage %v while no poll is made", got)
		}
		for _, h := range hang {
			a.scheduler.remove(h.task)
		}
		time.Sleep(time.Minute)
		least, most := gaps(f.times()[2:])
		if least < 800*time.Millisecond || most < 50*time.Second {
			t.Errorf("intervals from %v to %v, want one long one, and none that is too short", least, most)
		}
		time.Sleep(coverageWindow)
		if got := a.scheduler.coveredAt(time.Now()); got != 1 {
			t.Errorf("coverage %v after the overload", got)
		}
	})
}

// TestPollSchedulerQueues tests that targets which do not answer do not delay a target
// that answers.
func TestPollSchedulerQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSchedulerRig(t, time.Second)
		for range 10 * maxPolls {
			f := &fake{a: a, takes: 4 * time.Second, isSuspect: true}
			f.task = newPollTask(f)
			a.scheduler.add(f.task)
		}
		time.Sleep(time.Minute)
		if most := a.most.Load(); most != maxSuspectPolls {
			t.Errorf("%d polls of suspect targets in progress, want %d", most, maxSuspectPolls)
		}
		f := a.add(0)
		time.Sleep(time.Minute)
		if _, most := gaps(f.times()); most > 1200*time.Millisecond {
			t.Errorf("a target that answers has an interval of %v", most)
		}
	})
}

// TestPollSchedulerRests tests that a poll which takes longer than its interval is
// followed by a pause, and does not count as our lateness.
func TestPollSchedulerRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSchedulerRig(t, time.Second)
		f := a.add(1500 * time.Millisecond)
		time.Sleep(time.Minute)
		if least, _ := gaps(f.times()); least < 1600*time.Millisecond {
			t.Errorf("an interval of %v, want a pause after each poll", least)
		}
		if got := a.scheduler.coveredAt(time.Now()); got != 1 {
			t.Errorf("coverage %v, want 1", got)
		}
	})
}

// TestPollSchedulerRemoves tests that done is closed when the target is not polled any
// more, whatever its task does at that moment.
func TestPollSchedulerRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSchedulerRig(t, time.Minute)
		ended := a.addFake(&fake{ends: true})
		idle, asked := a.add(0), a.add(10*time.Second)
		time.Sleep(time.Second)
		<-ended.task.done
		a.scheduler.remove(ended.task)
		a.scheduler.remove(idle.task)
		<-idle.task.done
		began := time.Now()
		a.scheduler.remove(asked.task)
		if <-asked.task.done; time.Since(began) != 9*time.Second {
			t.Errorf("done after %v, want when the poll has ended", time.Since(began))
		}
		for range maxPolls {
			a.add(10 * time.Second)
		}
		time.Sleep(time.Second)
		waits := a.add(0)
		time.Sleep(time.Second)
		a.scheduler.remove(waits.task)
		<-waits.task.done
		if time.Sleep(time.Minute); len(waits.times()) != 0 {
			t.Error("a removed target was polled")
		}
	})
}

// TestPollSchedulerNeglects tests that targets which wait for long are returned once,
// and are not polled until they are given back.
func TestPollSchedulerNeglects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSchedulerRig(t, time.Second)
		for range maxPolls {
			a.add(time.Minute)
		}
		time.Sleep(time.Second)
		var wait []*fake
		for range 3 {
			wait = append(wait, a.add(0))
		}
		time.Sleep(14 * time.Second)
		if got := a.scheduler.removeNeglected(time.Now(), 15*time.Second); len(got) != 0 {
			t.Errorf("%d tasks are neglected too early", len(got))
		}
		time.Sleep(2 * time.Second)
		got := a.scheduler.removeNeglected(time.Now(), 15*time.Second)
		a.scheduler.remove(got[1])
		a.scheduler.returnTasks(got)
		<-got[1].done
		if again := a.scheduler.removeNeglected(time.Now(), 15*time.Second); len(got) != 3 || len(again) != 0 {
			t.Errorf("%d neglected tasks, then %d; want 3, and none twice", len(got), len(again))
		}
		time.Sleep(2 * time.Minute)
		for _, f := range wait {
			if asked, left := len(f.times()) > 0, f.task == got[1]; asked == left {
				t.Errorf("polled: %v, removed: %v", asked, left)
			}
		}
	})
}

// TestPollSchedulerLate tests that the late part of a wait is known even before the
// scheduler itself has woken.
func TestPollSchedulerLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		w := newPollScheduler(time.Second, &wg)
		began := time.Now()
		w.wake(began)
		if time.Sleep(time.Second + late.Slack); w.latePart(began) != 0 {
			t.Error("a delay within the slack counts as lateness")
		}
		if time.Sleep(time.Millisecond); w.latePart(began) != late.Slack+time.Millisecond {
			t.Errorf("late part %v", w.latePart(began))
		}
		if w.wake(time.Now()); w.latePart(began) != late.Slack+time.Millisecond || w.latePart(time.Now()) != 0 {
			t.Error("the late part is not bound to the time of the lateness")
		}
	})
}

// TestPollSchedulerSuspectTargets tests that targets which missed their last poll are
// polled, however busy the others keep the scheduler.
func TestPollSchedulerSuspectTargets(t *testing.T) {
	if raced {
		t.Skip("thousands of timers in one bubble; runs without the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		a := newSchedulerRig(t, time.Second)
		for range 3 * maxPolls { // one and a half times as many as the workers can poll
			a.add(500 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		f := &fake{a: a, isSuspect: true}
		f.task = newPollTask(f)
		a.scheduler.add(f.task)
		time.Sleep(time.Minute)
		if n := len(f.times()); n < 10 {
			t.Errorf("%d polls in a minute", n)
		}
	})
}

// renaming is a target that does not know its first name.
type renaming struct {
	*fake
	asked bool
}

func (f *renaming) poll() pollResult {
	if !f.asked {
		f.asked = true
		time.Sleep(f.takes)
		return pollResult{fromNow: true}
	}
	return f.fake.poll()
}

// TestPollSchedulerSecondName tests that the time which a target takes to reject the
// first name does not count as our lateness.
func TestPollSchedulerSecondName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSchedulerRig(t, 5*time.Second)
		for range 10 {
			f := &fake{a: a, takes: 2 * time.Second}
			f.task = newPollTask(&renaming{fake: f})
			a.scheduler.add(f.task)
		}
		time.Sleep(5 * time.Second)
		if c := a.scheduler.coveredAt(time.Now()); c < 0.99 {
			t.Errorf("coverage %.2f, though all polls were in time", c)
		}
	})
}
