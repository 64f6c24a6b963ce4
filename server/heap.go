package server

import (
	"math/rand/v2"
	"time"
)

// dueHeap orders tasks by when the schedule must look at them.
type dueHeap []*task

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *dueHeap) Push(x any) {
	t := x.(*task)
	t.at = len(*h)
	*h = append(*h, t)
}

func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
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
	case a.check.Priority != b.check.Priority:
		return a.check.Priority > b.check.Priority
	case !a.next.Equal(b.next):
		return a.next.Before(b.next)
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
