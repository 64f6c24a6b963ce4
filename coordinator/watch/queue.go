package watch

// dueHeap orders targets by when they are to be asked.
type dueHeap []*spoke

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	s := x.(*spoke)
	s.index = len(*h)
	*h = append(*h, s)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}

// queue holds targets in the order they became due. Those that are not waiting
// any more are left out.
type queue struct {
	items []*spoke
	first int
}

func (q *queue) len() int { return len(q.items) - q.first }

func (q *queue) push(s *spoke) {
	if q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
	q.items = append(q.items, s)
}

// pop returns the first, nil if there is none.
func (q *queue) pop() *spoke {
	for q.first < len(q.items) {
		s := q.items[q.first]
		q.items[q.first] = nil
		q.first++
		if s.phase == phaseWaiting {
			return s
		}
	}
	return nil
}

// cut takes those out that are.
func (q *queue) cut(are func(*spoke) bool) (out []*spoke) {
	kept := q.items[:0]
	for _, s := range q.items[q.first:] {
		switch {
		case s.phase != phaseWaiting:
		case are(s):
			out = append(out, s)
		default:
			kept = append(kept, s)
		}
	}
	clear(q.items[len(kept):])
	q.items, q.first = kept, 0
	return out
}

// putBack makes them the first again.
func (q *queue) putBack(some []*spoke) {
	q.items, q.first = append(some[:len(some):len(some)], q.items[q.first:]...), 0
}
