package watch

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

const (
	// maxPolls is how many Checks may be in progress. Those that are answered
	// within a tenth of a second need no more for 5,000 a second, and each that
	// waits costs some 25 KB; of those that are not answered at all, four
	// seconds long, 128 a second do not hold up others.
	maxPolls = 512
	// maxDoubted of them are of targets that did not answer the last time: who
	// answers is not kept waiting by those who do not.
	maxDoubted = maxPolls / 2
	// grain is the time within which what is due is one wake.
	grain = 2 * time.Millisecond
)

// wheel asks all that have Check only, when they are due, with one timer. When
// it cannot keep up they are asked later, those first that were due first; what
// was missed is not made up for.
type wheel struct {
	slack time.Duration // what can be made up for
	early chan struct{} // something is due before the timer
	wg    *sync.WaitGroup

	mu       sync.Mutex
	calls    *sync.Cond // to workers that have nothing to do
	due      dueHeap
	waiting  [2]queue // of those who answered last, and of those who did not
	workers  int
	idle     int
	doubted  int  // are being asked
	called   bool // a worker is on its way
	closed   bool
	armed    time.Time // when run wants to be awake again
	lateAt   time.Time // when it was last late
	coverage coverage
}

func newWheel(every time.Duration, wg *sync.WaitGroup) *wheel {
	w := &wheel{slack: every / 10, early: make(chan struct{}, 1), wg: wg}
	w.calls, w.coverage.began = sync.NewCond(&w.mu), time.Now()
	return w
}

// run turns the wheel until ctx ends.
func (w *wheel) run(ctx context.Context) {
	defer w.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-w.early:
		}
		timer.Reset(w.turn(time.Now()))
	}
}

func (w *wheel) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.calls.Broadcast()
}

// turn makes what is due wait for a worker, and returns for how long there is
// nothing more to do.
func (w *wheel) turn(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLate(now)
	for len(w.due) > 0 && !w.due[0].due.After(now) {
		s := heap.Pop(&w.due).(*spoke)
		w.waiting[s.wait()].push(s)
	}
	w.call()
	sleep := time.Second // so that lateness is seen soon
	if len(w.due) > 0 {
		sleep = min(sleep, max(grain, w.due[0].due.Sub(now)))
	}
	w.armed = now.Add(sleep)
	return sleep
}

// call calls a worker if something waits that may be asked now, and none is on
// its way. The lock is held.
func (w *wheel) call() {
	if w.called || w.closed || !w.may() {
		return
	}
	switch {
	case w.idle > 0:
		w.called = true
		w.calls.Signal()
	case w.workers < maxPolls:
		w.called = true
		w.workers++
		w.wg.Go(w.work)
	}
}

func (w *wheel) may() bool {
	return w.waiting[0].len() > 0 || w.waiting[1].len() > 0 && w.doubted < maxDoubted
}

// work asks one after the other. With each that it takes it calls another worker
// if more wait: those that are answered at once need hardly more than one.
func (w *wheel) work() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.called = false
	for !w.closed {
		s := w.take(time.Now())
		if s == nil {
			w.idle++
			w.calls.Wait()
			w.idle--
			w.called = false
			continue
		}
		w.call()
		w.mu.Unlock()
		n := s.ask()
		w.mu.Lock()
		w.settle(s, n, time.Now())
	}
	w.workers--
}

// take begins the poll that was due first, if it may be.
func (w *wheel) take(now time.Time) *spoke {
	lanes := [...]int{0, 1}
	if w.doubted < maxPolls/8 { // so many are always theirs
		lanes = [...]int{1, 0}
	}
	for _, lane := range lanes {
		if lane == 1 && w.doubted >= maxDoubted {
			break
		}
		if s := w.waiting[lane].pop(); s != nil {
			w.doubted += lane
			w.coverage.book(now, s.due, s.planned, s.begin(now, w.slack))
			return s
		}
	}
	return nil
}

// settle plans when it is asked again, or lets go of it.
func (w *wheel) settle(s *spoke, n next, now time.Time) {
	w.doubted -= s.lane
	if n.ends || s.leaves {
		s.goes()
		return
	}
	s.asksAgain(n, now, w.slack)
	w.schedule(s)
}

// schedule has the lock.
func (w *wheel) schedule(s *spoke) {
	s.phase = phasePlanned
	heap.Push(&w.due, s)
	if s.due.Before(w.armed) {
		select {
		case w.early <- struct{}{}:
		default:
		}
	}
}

// add takes in a target that is to be asked at once.
func (w *wheel) add(s *spoke) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	s.plan(0, now)
	s.asked = now
	w.schedule(s)
}

// remove lets go of a target; its done is closed as soon as nobody asks it any
// more.
func (w *wheel) remove(s *spoke) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s.phase {
	case phasePlanned:
		heap.Remove(&w.due, s.index)
		s.goes()
	case phaseWaiting:
		s.goes() // whoever would take it, leaves it out
	case phaseRunning:
		s.leaves = true
	}
}
