package sim

import "time"

// The kinds of tasks.
const (
	taskReady    taskKind = iota // the first checks of a process are done, so that it reports SERVING
	taskRegister                 // a process registers
	taskRenew                    // a process renews its lease
	taskPush                     // a client sends a heartbeat on its push stream
	taskGone                     // a draining process deregisters and ends
	taskDial                     // a follower dials
	taskDialFail                 // the dial of a follower times out
	taskBeat                     // a heartbeat arrives on the stream of a follower, or the follower polls
	taskSilence                  // a follower checks how long it has received nothing
	taskArrive                   // a message that the network has delayed arrives at a follower
)

// agenda is the list of planned tasks, as a heap. The first element is the task with the
// earliest time.
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

// next returns the time of the first task, or the constant never if there is none.
func (a *agenda) next() time.Duration {
	if len(a.tasks) == 0 {
		return never
	}
	return a.tasks[0].at
}

const never = time.Duration(1<<63 - 1)

// task is one thing that happens to an instance at a time of the script.
type task struct {
	at   time.Duration
	seq  uint64 // orders tasks with the same time: the task that was planned first comes first
	kind taskKind
	gen  uint32 // process.gen or follower.gen when the task was planned; if this field has changed since, the task is ignored
	in   *instance
	msg  *message
}

type taskKind uint8
