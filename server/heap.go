package server

import (
	"math"
	"math/rand/v2"
	"time"
)

// instant is a time to the schedule: the ns since its epoch.
type instant int64

// never is later than anything happens.
const never instant = math.MaxInt64

func (s *schedule) at(t time.Time) instant { return instant(t.Sub(s.epoch)) } // which never overflows

// due is a task and when the schedule must look at it.
type due struct {
	at   instant
	task *task
}

// dueHeap orders tasks by that.
type dueHeap []due

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].task.at, h[j].task.at = int32(i), int32(j)
}

func (h *dueHeap) Push(x any) {
	d := x.(due)
	d.task.at = int32(len(*h))
	*h = append(*h, d)
}

func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = due{}
	*h = old[:len(old)-1]
	return last
}

// waitHeap orders tasks that wait for room by priority, then by how long they
// have waited.
type waitHeap []*task

func (h waitHeap) Len() int      { return len(h) }
func (h waitHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h waitHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	switch {
	case a.rules.priority != b.rules.priority:
		return a.rules.priority > b.rules.priority
	case a.next != b.next:
		return a.next < b.next
	}
	return a.seq < b.seq
}

func (h *waitHeap) Push(x any) { *h = append(*h, x.(*task)) }

func (h *waitHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}

// jitter returns d give or take a tenth, so that what began together does not
// stay together.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// phaseOf returns where in its interval a check comes to lie.
func phaseOf(d time.Duration) time.Duration { return rand.N(d) + 1 }
