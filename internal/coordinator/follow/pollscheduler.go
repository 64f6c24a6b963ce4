package follow

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/meshhealth/meshhealth/internal/late"
)

const (
	// maxPolls is the largest number of Checks in progress. Each one uses about 25 KB. If
	// targets answer within 0.1 s, 512 are enough for 5,000 polls a second. A Check without
	// an answer takes 4 s, so 128 of them a second do not delay other polls.
	maxPolls = 512
	// maxSuspectPolls is the largest number of polls in progress to targets that did not
	// answer their last poll. The rest of maxPolls is for targets that answer.
	maxSuspectPolls = maxPolls / 2
	// reservedSuspectPolls is the number of polls that are reserved for targets that did not
	// answer their last poll. While fewer such polls are in progress, these targets are polled
	// before all others.
	reservedSuspectPolls = maxPolls / 8
	// grain is the shortest sleep of the scheduler. Polls that become due during one sleep
	// are queued together.
	grain = 2 * time.Millisecond
	// maxSleep is the longest sleep of the scheduler. It is short, so that the scheduler soon
	// notices if it runs late.
	maxSleep = time.Second
)

// pollScheduler makes the polls of all targets that are followed by Check. For each target it
// has one task. The goroutine of the method run moves due tasks to queues, and a pool of
// workers makes their polls. If the scheduler cannot keep up, it makes the polls later, in the
// order of their due times. It does not add polls afterwards to make up for late ones. The
// methods may be called concurrently.
type pollScheduler struct {
	slack time.Duration   // a poll whose delay is below slack does not count as late, and does not delay the next poll of its target
	early chan struct{}   // receives an element when a task becomes due before wakeAt, so that the method run wakes up earlier
	wg    *sync.WaitGroup // counts the workers

	mu           sync.Mutex
	idleWorkers  *sync.Cond
	planned      taskHeap
	waiting      [numQueues]taskQueue
	workers      int
	idle         int
	suspectPolls int       // number of polls in progress to targets that did not answer their last poll
	called       bool      // a worker was started or woken, and has not taken a task so far
	closed       bool      // the scheduler has ended, and the workers must end
	wakeAt       time.Time // time at which the method run plans to wake up next
	late         late.Spans
	coverage     coverage
}

// newPollScheduler returns a scheduler. interval is the usual poll interval. A delay of a poll by
// less than a tenth of interval does not count as late. wg counts the workers.
func newPollScheduler(interval time.Duration, wg *sync.WaitGroup) *pollScheduler {
	s := &pollScheduler{slack: interval / 10, early: make(chan struct{}, 1), wg: wg}
	s.idleWorkers, s.coverage.began = sync.NewCond(&s.mu), time.Now()
	return s
}

// run moves each task (the polls of one target) to a queue when its next poll is due. It ends
// when ctx ends.
func (s *pollScheduler) run(ctx context.Context) {
	defer s.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.early:
		}
		timer.Reset(s.wake(time.Now()))
	}
}

func (s *pollScheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.idleWorkers.Broadcast()
}

// wake moves the due tasks to the queues of the workers. It returns the time until the next
// task becomes due, at most maxSleep.
func (s *pollScheduler) wake(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteLateness(now)
	for len(s.planned) > 0 && !s.planned[0].due.After(now) {
		t := heap.Pop(&s.planned).(*pollTask)
		s.waiting[t.startWaiting()].push(t)
	}
	s.callWorker()
	sleep := maxSleep
	if len(s.planned) > 0 {
		sleep = min(sleep, max(grain, s.planned[0].due.Sub(now)))
	}
	s.wakeAt = now.Add(sleep)
	return sleep
}

// noteLateness records by how much the goroutine of run has woken up late, if at all. The
// caller holds the lock.
func (s *pollScheduler) noteLateness(now time.Time) {
	if late.By(s.wakeAt, now) > 0 {
		s.late.Note(s.wakeAt, now)
		s.wakeAt = now
	}
}

// latePart returns for how long the scheduler has been late from the time start until now.
func (s *pollScheduler) latePart(start time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteLateness(time.Now())
	return s.late.Part(start)
}

// callWorker wakes or starts a worker if a task may be polled now. It does nothing if it has woken
// or started a worker before, and this worker has not taken a task so far. The caller holds the
// lock.
func (s *pollScheduler) callWorker() {
	if s.called || s.closed || !s.hasRunnable() {
		return
	}
	switch {
	case s.idle > 0:
		s.called = true
		s.idleWorkers.Signal()
	case s.workers < maxPolls:
		s.called = true
		s.workers++
		s.wg.Go(s.work)
	}
}

// hasRunnable reports whether any waiting task may be polled now.
func (s *pollScheduler) hasRunnable() bool {
	return s.waiting[queueAnswered].len() > 0 ||
		s.waiting[queueSuspect].len() > 0 && s.suspectPolls < maxSuspectPolls
}

// work is the goroutine of a worker. It polls one task after the other. When it takes a task
// and more tasks wait, it wakes or starts one more worker. So few workers run if targets answer
// fast.
func (s *pollScheduler) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called = false
	for !s.closed {
		t := s.startNext(time.Now())
		if t == nil {
			s.idle++
			s.idleWorkers.Wait()
			s.idle--
			s.called = false
			continue
		}
		s.callWorker()
		s.mu.Unlock()
		r := t.poll()
		s.mu.Lock()
		s.pollEnded(t, r, time.Now())
	}
	s.workers--
}

// startNext removes and returns the task to poll next, or nil. The caller holds the
// lock.
func (s *pollScheduler) startNext(now time.Time) *pollTask {
	order := [...]int{queueAnswered, queueSuspect}
	if s.suspectPolls < reservedSuspectPolls {
		order = [...]int{queueSuspect, queueAnswered}
	}
	for _, queue := range order {
		if queue == queueSuspect && s.suspectPolls >= maxSuspectPolls {
			break
		}
		if t := s.waiting[queue].pop(); t != nil {
			if queue == queueSuspect {
				s.suspectPolls++
			}
			s.coverage.record(now, t.due, t.planned, t.startPoll(now, s.slack))
			return t
		}
	}
	return nil
}

// pollEnded plans the next poll of a task, or ends the task. The caller holds the lock.
func (s *pollScheduler) pollEnded(t *pollTask, r pollResult, now time.Time) {
	if t.queue == queueSuspect {
		s.suspectPolls--
	}
	if r.ends || t.removed {
		t.end()
		return
	}
	t.planNext(r, now, s.slack)
	s.plan(t)
}

// plan puts a task into the heap of planned tasks. The caller holds the lock.
func (s *pollScheduler) plan(t *pollTask) {
	t.phase = taskPlanned
	heap.Push(&s.planned, t)
	if t.due.Before(s.wakeAt) {
		select {
		case s.early <- struct{}{}:
		default:
		}
	}
}

// add plans a new task, which is due at once.
func (s *pollScheduler) add(t *pollTask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	t.planIn(0, now)
	t.polledAt = now
	s.plan(t)
}

// remove ends a task. If a poll is in progress, the task ends after this poll. The task closes
// its Go channel done when it ends.
func (s *pollScheduler) remove(t *pollTask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch t.phase {
	case taskPlanned:
		heap.Remove(&s.planned, t.index)
		t.end()
	case taskWaiting:
		t.end() // the queue skips a task that has ended
	case taskRunning:
		t.removed = true
	}
}

// coveredAt returns which part of the polls that were planned within the last coverageWindow was
// made, from 0 to 1.
func (s *pollScheduler) coveredAt(now time.Time) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var wanted time.Duration
	for i := range s.waiting {
		q := &s.waiting[i]
		for _, t := range q.items[q.first:] {
			if late := now.Sub(t.due); t.phase == taskWaiting && late >= s.slack {
				wanted += wantedOf(t.planned, late)
			}
		}
	}
	return s.coverage.ratio(now, wanted)
}

// removeNeglected removes and returns the waiting tasks whose last poll is too long ago: the
// time since then is limit or more. It skips tasks for which this was already reported to the
// registry. The caller must call the method notPolled of each task, which makes the report.
// After that, it must pass the tasks to returnTasks. Until then no worker polls these tasks, so
// that the registry receives no answer before the report.
func (s *pollScheduler) removeNeglected(now time.Time, limit time.Duration) (all []*pollTask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.waiting {
		all = append(all, s.waiting[i].removeMatching(func(t *pollTask) bool {
			return !t.neglectTold && now.Sub(t.polledAt) >= limit
		})...)
	}
	for _, t := range all {
		t.phase, t.neglectTold = taskRunning, true
	}
	return all
}

// returnTasks puts the tasks that removeNeglected has removed back to the front of their queues.
func (s *pollScheduler) returnTasks(tasks []*pollTask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var back [numQueues][]*pollTask
	for _, t := range tasks {
		if t.removed {
			t.end()
			continue
		}
		queue := t.startWaiting()
		back[queue] = append(back[queue], t)
	}
	for queue := range back {
		s.waiting[queue].prepend(back[queue])
	}
	s.callWorker()
}
