package registry

import (
	"sync"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// queue is what waits for the scribe. Commands are bounded in number,
// transitions in bytes; the last status of each instance is kept, however many
// transitions are lost.
type queue struct {
	maxBytes int
	notify   chan struct{}

	mu          sync.Mutex
	commands    []*command
	transitions []store.Transition
	bytes       int
	lost        uint64 // since the last gap record
	lostEver    uint64
	statuses    map[health.ID]store.Status
	removed     map[health.ID]uint64 // instances that left, with their lease
	ended       []health.Override
}

// maxCommands bounds how many registrations and the like may wait.
const maxCommands = 4096

func (q *queue) init(maxBytes int) {
	q.maxBytes = maxBytes
	q.notify = make(chan struct{}, 1)
	q.statuses, q.removed = map[health.ID]store.Status{}, map[health.ID]uint64{}
}

func (q *queue) wake() {
	select {
	case q.notify <- struct{}{}:
	default:
	}
}

// command adds one, unless as many wait as may.
func (q *queue) command(c *command, most int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.commands) >= most {
		return false
	}
	q.commands = append(q.commands, c)
	q.wake()
	return true
}

// orders returns how many wait for an answer.
func (q *queue) orders() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.commands)
}

// record takes what the owner has published. It never waits.
func (q *queue) record(changes []health.Change) {
	if len(changes) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range changes {
		q.change(&changes[i])
	}
	q.wake()
}

func (q *queue) change(c *health.Change) {
	if c.Spec != nil {
		q.instance(c)
	}
	if c.Recorded() {
		q.push(transitionOf(c))
	}
}

func (q *queue) instance(c *health.Change) {
	if c.Removed {
		q.removed[c.ID] = c.Spec.Lease
		delete(q.statuses, c.ID)
		return
	}
	st := store.Status{ID: c.ID, Status: c.Judged, Since: c.Since, Proven: c.Proven}
	if c.Override == nil { // else they tell why it is forced
		st.Cause, st.Reason = c.Cause, c.Reason
	}
	q.statuses[c.ID] = st
}

// push appends t and drops the oldest until everything fits.
func (q *queue) push(t store.Transition) {
	q.transitions = append(q.transitions, t)
	q.bytes += sizeOf(&t)
	n := 0
	for ; q.bytes > q.maxBytes; n++ {
		q.bytes -= sizeOf(&q.transitions[n])
	}
	q.transitions = q.transitions[n:]
	q.lost += uint64(n)
	q.lostEver += uint64(n)
}

func sizeOf(t *store.Transition) int {
	return 160 + len(t.ID.Service) + len(t.ID.Instance) + len(t.Reason)
}

func transitionOf(c *health.Change) store.Transition {
	t := store.Transition{
		ID: c.ID, From: c.From, To: c.Status, At: c.At, Cause: c.Cause, Reason: c.Reason,
		FirstFailure: c.FirstFailure, Removed: c.Removed,
	}
	if c.Override != nil {
		t.By = c.Override.Author
	}
	return t
}

// end takes the overrides whose time is over.
func (q *queue) end(ended []health.Override) {
	if len(ended) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = append(q.ended, ended...)
	q.wake()
}

// work is what one commit is made of.
type work struct {
	commands    []*command
	transitions []store.Transition
	lost        uint64
	statuses    map[health.ID]store.Status
	removed     map[health.ID]uint64
	ended       []health.Override
}

// records is all of it but the commands.
func (w *work) records() work {
	r := *w
	r.commands = nil
	return r
}

// take empties the queue.
func (q *queue) take() work {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := work{q.commands, q.transitions, q.lost, q.statuses, q.removed, q.ended}
	q.commands, q.transitions, q.bytes, q.lost = nil, nil, 0, 0
	q.statuses, q.removed, q.ended = map[health.ID]store.Status{}, map[health.ID]uint64{}, nil
	return w
}

// giveBack returns what could not be written, as the oldest there is.
func (q *queue) giveBack(w *work) {
	q.mu.Lock()
	defer q.mu.Unlock()
	newer := q.transitions
	q.transitions, q.bytes = nil, 0
	q.lost += w.lost
	q.ended = append(w.ended, q.ended...)
	for _, t := range w.transitions {
		q.push(t)
	}
	for _, t := range newer {
		q.push(t)
	}
	for id, s := range w.statuses {
		if _, newer := q.statuses[id]; !newer {
			q.statuses[id] = s
		}
	}
	for id, lease := range w.removed {
		if _, newer := q.removed[id]; !newer {
			q.removed[id] = lease
		}
	}
}

// waiting returns how many transitions wait, and how many were ever lost.
func (q *queue) waiting() (transitions int, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.transitions), q.lostEver
}
