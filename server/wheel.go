package server

import "iter"

const (
	// slotWidth is the time that one slot of a wheel covers, in ns. It is twice the longest
	// pause of the scheduler.
	slotWidth = 2 * instant(maxPause)
	// numSlots is the number of slots of a wheel. One turn of the wheel covers 10.24 s, a
	// little more than DefaultEvery.
	numSlots = 512
)

// wheel holds tasks by the time when they are due. To add, move or remove a task costs the
// same for any number of tasks. The zero value is empty.
//
// Each task is in one list. Most lists are slots. Each slot stands for 20 ms of each turn of
// the wheel. So a slot also has tasks that are due in later turns.
type wheel struct {
	lists [firstSlot + numSlots][]due
	now   instant // argument of the last call of advance
}

// due is a task and the time when schedule.doDue must be called for this task. The time is
// kept beside the pointer, so that a search for due tasks need not read the tasks.
type due struct {
	at   instant
	task *task
}

// place is the place of a task in a wheel: an index of wheel.lists, and the index in this
// list.
type place struct {
	index int32
	list  int16
}

// Indexes of wheel.lists.
const (
	noList      = iota // list of a task that is not in the wheel; always empty
	readyList          // tasks that are due
	undatedList        // tasks that have nothing to do: their due time is the constant never
	firstSlot          // first slot; the other slots follow it
)

// put adds t to the wheel with this due time. If t is in the wheel already, put moves t.
func (w *wheel) put(t *task, dueTime instant) {
	w.remove(t)
	list := int16(firstSlot + dueTime/slotWidth%numSlots)
	switch {
	case dueTime == never:
		list = undatedList
	case dueTime <= w.now:
		list = readyList
	}
	t.place = place{list: list, index: int32(len(w.lists[list]))}
	w.lists[list] = append(w.lists[list], due{dueTime, t})
}

// remove removes t from the wheel. It does nothing if t is not in the wheel.
func (w *wheel) remove(t *task) {
	if t.place.list == noList {
		return
	}
	list := &w.lists[t.place.list]
	last := len(*list) - 1
	moved := (*list)[last]
	(*list)[t.place.index], moved.task.place.index = moved, t.place.index
	(*list)[last] = due{}
	*list = withoutPeak((*list)[:last])
	t.place = place{}
}

// advance moves each task that is due at the time now to the list of ready tasks. now must
// not be earlier than in the last call.
func (w *wheel) advance(now instant) {
	last := now / slotWidth
	first := max(w.now/slotWidth, last-numSlots+1)
	w.now = now
	for slot := last; slot >= first; slot-- {
		list := &w.lists[firstSlot+slot%numSlots]
		// The loop runs backward, because put moves the last task of the list to the free place.
		for i := len(*list) - 1; i >= 0; i-- {
			if d := (*list)[i]; d.at <= now {
				w.put(d.task, d.at)
			}
		}
	}
}

// ready returns a task that is due, or nil. The caller must put or remove the task.
func (w *wheel) ready() *task {
	if list := w.lists[readyList]; len(list) > 0 {
		return list[len(list)-1].task
	}
	return nil
}

// next returns the earliest due time of all tasks, but at most `limit`. The limit
// must be less than 10.24 s (one turn of the wheel) after the argument of the last call of
// advance.
func (w *wheel) next(limit instant) instant {
	if len(w.lists[readyList]) > 0 {
		return w.now
	}
	earliest := limit
	for slot := w.now / slotWidth; slot <= limit/slotWidth && earliest == limit; slot++ {
		for _, d := range w.lists[firstSlot+slot%numSlots] {
			earliest = min(earliest, d.at)
		}
	}
	return earliest
}

// all returns the tasks of the wheel. The loop body must not change the wheel.
func (w *wheel) all() iter.Seq[*task] {
	return func(yield func(*task) bool) {
		for _, list := range w.lists {
			for _, d := range list {
				if !yield(d.task) {
					return
				}
			}
		}
	}
}

// withoutPeak returns nil instead of an empty list that has room for more than 256 elements, to
// free the memory. It returns any other list unchanged. At the start of the server, one list may
// have all tasks.
func withoutPeak[T any](list []T) []T {
	const room = 256
	if len(list) == 0 && cap(list) > room {
		return nil
	}
	return list
}
