package follow

import (
	"context"
	"time"
)

// pollTarget is a target that a poll scheduler polls. The scheduler calls at most one of the
// methods at a time.
type pollTarget interface {
	// poll makes one Check, and returns when the next Check is due.
	poll() pollResult
	// suspect reports whether the last poll was not answered.
	suspect() bool
	// notPolled reports to the registry that the last poll of the target is too long ago,
	// because the coordinator has too much to poll. The time since that poll is limit or more.
	notPolled(ctx context.Context, limit time.Duration)
}

// pollResult says when a target is polled next.
type pollResult struct {
	delay   time.Duration // time until the next poll, counted from the time at which the last poll was due (if that poll was late, from its begin)
	fromNow bool          // delay is counted from now, because the last poll was not answered with a status
	ends    bool          // the target is not polled any more
}

// pollTask is the entry of a target in a poll scheduler. The scheduler's lock guards it.
type pollTask struct {
	pollTarget
	done chan struct{} // closed when the target is not polled any more

	phase    taskPhase
	removed  bool          // the task must end after the poll in progress
	index    int           // index of the task in the heap
	due      time.Time     // time at which the next poll is due
	planned  time.Duration // interval that was planned between the last poll and the next one
	base     time.Time     // time at which the interval before the next poll begins
	polledAt time.Time     // time at which the last poll began
	queue    int           // index of the queue that holds the task, or that held the task last
	// neglectTold is true if the registry was told that the last poll of the target is too long
	// ago.
	neglectTold bool
}

// taskPhase says whether a task is planned, waits, is being polled or has ended.
type taskPhase uint8

const (
	taskEnded   taskPhase = iota
	taskPlanned           // the task is in the heap of planned tasks
	taskWaiting           // the task is in a queue, because its poll is due
	taskRunning           // a worker polls the target, or the manager reports that the last poll is too long ago
)

// The queues of waiting tasks.
const (
	queueAnswered = iota // the target answered its last poll
	queueSuspect         // the target did not answer its last poll
	numQueues
)

func newPollTask(t pollTarget) *pollTask {
	return &pollTask{pollTarget: t, done: make(chan struct{})}
}

// planIn sets the time of the next poll to the time start plus delay.
func (t *pollTask) planIn(delay time.Duration, start time.Time) {
	t.planned, t.due = delay, start.Add(delay)
}

// startWaiting changes the phase to taskWaiting, and returns the index of the queue for the task.
func (t *pollTask) startWaiting() (queue int) {
	t.phase, t.queue = taskWaiting, queueAnswered
	if t.suspect() {
		t.queue = queueSuspect
	}
	return t.queue
}

// startPoll records that the poll begins now, and returns how late the poll is. If the poll is
// late by less than slack, startPoll returns 0, and the next poll is not delayed. If the poll
// is later, the next poll is delayed by the same time.
func (t *pollTask) startPoll(now time.Time, slack time.Duration) (late time.Duration) {
	t.phase, t.base, t.polledAt, t.neglectTold = taskRunning, t.due, now, false
	if late = now.Sub(t.due); late < slack {
		return 0
	}
	t.base = now
	return late
}

// planNext plans the next poll when a poll has ended with the result r. If r.delay is not 0, the
// next poll begins not earlier than minPause from now, even if the last poll took longer than
// its interval.
func (t *pollTask) planNext(r pollResult, now time.Time, minPause time.Duration) {
	start := t.base
	if r.fromNow {
		start = now
	}
	t.planIn(r.delay, start)
	if soonest := now.Add(minPause); r.delay > 0 && t.due.Before(soonest) {
		t.due = soonest
	}
}

// end ends the task and closes the Go channel done. The target is not polled any more.
func (t *pollTask) end() {
	t.phase = taskEnded
	close(t.done)
}

// taskHeap orders planned tasks by due time. It implements heap.Interface.
type taskHeap []*pollTask

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h taskHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *taskHeap) Push(x any) {
	t := x.(*pollTask)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *taskHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}

// taskQueue holds waiting tasks in the order in which they became due. It skips tasks
// that have left the phase taskWaiting.
type taskQueue struct {
	items []*pollTask
	first int // index of the first task in items; the tasks before it were removed
}

// len returns the number of tasks, including the tasks that have left the phase taskWaiting.
func (q *taskQueue) len() int { return len(q.items) - q.first }

func (q *taskQueue) push(t *pollTask) {
	if q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
	q.items = append(q.items, t)
}

// pop removes and returns the first task, or returns nil.
func (q *taskQueue) pop() *pollTask {
	for q.first < len(q.items) {
		t := q.items[q.first]
		q.items[q.first] = nil
		q.first++
		if t.phase == taskWaiting {
			return t
		}
	}
	return nil
}

// removeMatching removes and returns the waiting tasks for which match returns true.
func (q *taskQueue) removeMatching(match func(*pollTask) bool) (removed []*pollTask) {
	kept := q.items[:0]
	for _, t := range q.items[q.first:] {
		switch {
		case t.phase != taskWaiting:
		case match(t):
			removed = append(removed, t)
		default:
			kept = append(kept, t)
		}
	}
	clear(q.items[len(kept):])
	q.items, q.first = kept, 0
	return removed
}

// prepend puts tasks before all others in the queue.
func (q *taskQueue) prepend(tasks []*pollTask) {
	q.items, q.first = append(tasks[:len(tasks):len(tasks)], q.items[q.first:]...), 0
}
