package follow

import (
	"context"
	"time"
)

// pollTarget is a target of a poll scheduler. The scheduler calls at most one method at a
// time.
type pollTarget interface {
	// poll makes one Check, and returns when the next one is due.
	poll() pollResult
	// suspect reports whether the last poll was not answered.
	suspect() bool
	// notPolled reports that the last poll of the target began longer ago than long.
	notPolled(ctx context.Context, long time.Duration)
}

// pollResult says when a target is polled next.
type pollResult struct {
	delay   time.Duration // time until the next poll, counted from the time at which the last poll was due
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
	planned  time.Duration // interval between two polls that was planned before due
	base     time.Time     // time from which the interval to the next poll is counted
	polledAt time.Time     // time at which the last poll began
	queue    int           // index of the queue that holds the task or has held it last
	// neglectTold is true if notPolled was called after the last poll.
	neglectTold bool
}

// taskPhase says whether a task is planned, waits, is being polled or has ended.
type taskPhase uint8

const (
	taskEnded   taskPhase = iota
	taskPlanned           // the task is in the heap
	taskWaiting           // the task is in a queue
	taskRunning           // a worker polls the task, or the manager calls notPolled
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

// planIn sets the time of the next poll to delay after from.
func (t *pollTask) planIn(delay time.Duration, from time.Time) {
	t.planned, t.due = delay, from.Add(delay)
}

// startWaiting changes the phase to taskWaiting, and returns the queue for the task.
func (t *pollTask) startWaiting() (queue int) {
	t.phase, t.queue = taskWaiting, queueAnswered
	if t.suspect() {
		t.queue = queueSuspect
	}
	return t.queue
}

// startPoll records that the poll begins now, and returns how late it is. A delay below slack
// counts as 0, and does not delay the next poll. A longer delay does.
func (t *pollTask) startPoll(now time.Time, slack time.Duration) (late time.Duration) {
	t.phase, t.base, t.polledAt, t.neglectTold = taskRunning, t.due, now, false
	if late = now.Sub(t.due); late < slack {
		return 0
	}
	t.base = now
	return late
}

// planNext plans the next poll when a poll has ended. If the result has a delay, the next
// poll begins at least rest from now, even if the last poll took longer than its interval.
func (t *pollTask) planNext(r pollResult, now time.Time, rest time.Duration) {
	from := t.base
	if r.fromNow {
		from = now
	}
	t.planIn(r.delay, from)
	if soonest := now.Add(rest); r.delay > 0 && t.due.Before(soonest) {
		t.due = soonest
	}
}

// end ends the task and closes done. The target is not polled any more.
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

// len returns the number of tasks, including those that pop skips.
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

// removeMatching removes and returns the waiting tasks that match.
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

// prepend puts tasks before all others.
func (q *taskQueue) prepend(tasks []*pollTask) {
	q.items, q.first = append(tasks[:len(tasks):len(tasks)], q.items[q.first:]...), 0
}
