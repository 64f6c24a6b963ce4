package server

import "iter"

const (
	// slotWidth is the time that one slot of a wheel covers. It is also the longest pause of
	// the scheduler, so that a busy scheduler looks at a slot about once.
	slotWidth = instant(maxPause)
	// numSlots is the number of slots of a wheel. One turn of the wheel covers 10.24 s, a
	// little more than DefaultEvery.
	numSlots = 1024
)

// wheel holds tasks by the time when they are due. To add, move or remove a task costs the
// same for any number of tasks. The zero value is empty.
//
// Each task is in one list. A slot is the list of the tasks whose due time is in its 10 ms
// of any turn of the wheel. So a slot also has tasks of later turns, which advance skips.
//
// The lists link numbers of tasks instead of tasks. Therefore a search or a move reads
// no task, and the garbage collector follows no links.
type wheel struct {
	heads  [numSlots + 2]int32 // first task of each list; 0: the list is empty
	now    instant             // argument of the last call of advance
	places []place             // places of the tasks, by number; number 0 is not used
	tasks  []*task             // tasks by number; nil: the number is free
	free   []int32             // numbers that are free
}

// place is the place of a task in a wheel.
type place struct {
	due        instant
	next, prev int32 // next and previous task of the list; 0: none
	list       int16 // index of the list in wheel.heads
}

// Indexes in wheel.heads of the lists that are not slots.
const (
	readyList   = numSlots     // tasks that are due
	undatedList = numSlots + 1 // tasks that are due at never
)

// add adds a task and gives it a number.
func (w *wheel) add(t *task, due instant) {
	if n := len(w.free); n > 0 {
		t.number, w.free = w.free[n-1], w.free[:n-1]
	} else {
		t.number = int32(max(len(w.tasks), 1))
		w.tasks = append(w.tasks, make([]*task, int(t.number)+1-len(w.tasks))...)
		w.places = append(w.places, make([]place, int(t.number)+1-len(w.places))...)
	}
	w.tasks[t.number] = t
	w.link(t.number, due)
}

// move moves a task of the wheel, so that it is due at that time.
func (w *wheel) move(t *task, due instant) {
	w.unlink(t.number)
	w.link(t.number, due)
}

// remove removes a task from the wheel. It does nothing if the wheel does not have the task.
func (w *wheel) remove(t *task) {
	if t.number == 0 {
		return
	}
	w.unlink(t.number)
	w.tasks[t.number], w.free = nil, append(w.free, t.number)
	t.number = 0
}

func (w *wheel) link(n int32, due instant) {
	list := int16(due / slotWidth % numSlots)
	switch {
	case due == never:
		list = undatedList
	case due <= w.now:
		list = readyList
	}
	next := w.heads[list]
	w.places[n] = place{due: due, list: list, next: next}
	w.places[next].prev = n
	w.heads[list] = n
}

func (w *wheel) unlink(n int32) {
	p := w.places[n]
	w.places[p.next].prev = p.prev
	if p.prev != 0 {
		w.places[p.prev].next = p.next
	} else {
		w.heads[p.list] = p.next
	}
}

// advance makes the tasks ready that are due at now. now is not before the last call.
func (w *wheel) advance(now instant) {
	last := now / slotWidth
	first := max(w.now/slotWidth, last-numSlots+1)
	w.now = now
	// The ready list becomes the reverse of this order.
	for i := last; i >= first; i-- {
		for n, due := range w.list(i % numSlots) {
			if due <= now {
				w.unlink(n)
				w.link(n, due)
			}
		}
	}
}

// ready returns a task that is due, or nil. The caller must move or remove the task.
func (w *wheel) ready() *task {
	if n := w.heads[readyList]; n != 0 {
		return w.tasks[n]
	}
	return nil
}

// next returns the earliest due time, but at most limit. limit is less than a turn after
// the last call of advance.
func (w *wheel) next(limit instant) instant {
	if w.ready() != nil {
		return w.now
	}
	for i := w.now / slotWidth; i <= limit/slotWidth; i++ {
		earliest := limit
		for _, due := range w.list(i % numSlots) {
			earliest = min(earliest, due)
		}
		if earliest < limit {
			return earliest
		}
	}
	return limit
}

// list returns the numbers and the due times of the tasks of a list. The loop body may move
// the task that it has received.
func (w *wheel) list(list instant) iter.Seq2[int32, instant] {
	return func(yield func(int32, instant) bool) {
		for n := w.heads[list]; n != 0; {
			p := w.places[n]
			if !yield(n, p.due) {
				return
			}
			n = p.next
		}
	}
}

// all returns the tasks of the wheel.
func (w *wheel) all() iter.Seq[*task] {
	return func(yield func(*task) bool) {
		for _, t := range w.tasks {
			if t != nil && !yield(t) {
				return
			}
		}
	}
}
