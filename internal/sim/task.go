package sim

import "time"

// task is something that happens to an instance of its own accord.
type task struct {
	at   time.Duration
	seq  uint64 // of two at once the first planned is the first done
	kind taskKind
	gen  uint32 // what it belongs to may have ended meanwhile
	in   *instance
	msg  *message
}

type taskKind uint8

const (
	taskReady    taskKind = iota // a process has run its first checks
	taskRegister                 // a process asks for a lease
	taskRenew                    // and for more of it
	taskPush                     // and says that it lives, where it pushes
	taskGone                     // a process that drains ends
	taskDial                     // a follower dials
	taskDialFail                 // and has waited in vain
	taskBeat                     // a stream's sign of life
	taskSilence                  // a follower has heard nothing for long
	taskArrive                   // a delayed message is there
)

// agenda is a heap of tasks.
type agenda struct {
	tasks []task
	seq   uint64
}

func (a *agenda) less(i, j int) bool {
	x, y := &a.tasks[i], &a.tasks[j]
	return x.at < y.at || x.at == y.at && x.seq < y.seq
}

func (a *agenda) push(t task) {
	a.seq++
	t.seq = a.seq
	a.tasks = append(a.tasks, t)
	for i := len(a.tasks) - 1; i > 0; {
		up := (i - 1) / 2
		if !a.less(i, up) {
			break
		}
		a.tasks[i], a.tasks[up] = a.tasks[up], a.tasks[i]
		i = up
	}
}

func (a *agenda) pop() task {
	first, last := a.tasks[0], len(a.tasks)-1
	a.tasks[0] = a.tasks[last]
	a.tasks[last] = task{}
	a.tasks = a.tasks[:last]
	for i := 0; ; {
		least := i
		for _, down := range [...]int{2*i + 1, 2*i + 2} {
			if down < last && a.less(down, least) {
				least = down
			}
		}
		if least == i {
			return first
		}
		a.tasks[i], a.tasks[least] = a.tasks[least], a.tasks[i]
		i = least
	}
}

// next is when the first is due; never if there is none.
func (a *agenda) next() time.Duration {
	if len(a.tasks) == 0 {
		return never
	}
	return a.tasks[0].at
}

const never = time.Duration(1<<63 - 1)
