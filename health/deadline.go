package health

import "time"

// moment is a time on the mesh's own clock: nanoseconds since the Mesh was
// made, by the monotonic reading. It is compact, and wall clocks that jump do
// not move it. 0 means never.
type moment int64

// deadline is something that will be decided at a time.
type deadline struct {
	at       moment
	length   time.Duration // what it was armed with
	forgiven time.Duration // by how much it was moved since
	worn     bool          // more was to be forgiven than may be
}

// The deadlines of an instance.
type deadlineKind int

const (
	dlHold        deadlineKind = iota // a stock SERVING is believed
	dlUnreachable                     // doubt about the path becomes certainty
	dlLease                           // the lease ends
	dlRemove                          // an expired instance is removed
	dlGrace                           // it counts although it never served
	dlDamp                            // a damped one has been quiet for long enough
	dlSilent                          // that a loaded one was not heard of speaks against the path
	numDeadlines
)

// maxForgiven is how many times its own length a deadline may be moved.
const maxForgiven = 4

func (d *deadline) arm(now moment, length time.Duration) {
	*d = deadline{at: now + moment(length), length: length}
}

func (d *deadline) disarm() { *d = deadline{} }

func (d *deadline) armed() bool { return d.at != 0 }

func (d *deadline) due(now moment) bool { return d.at != 0 && d.at <= now }

// forgive moves d by late, within what may be forgiven.
func (d *deadline) forgive(late time.Duration) {
	if d.at == 0 {
		return
	}
	left := maxForgiven*d.length - d.forgiven
	if late > left {
		late, d.worn = left, true
	}
	d.at += moment(late)
	d.forgiven += late
}

// dueHeap orders instances by when Tick must look at them. A deadline that
// moves later leaves its instance where it is; Tick puts it right.
type dueHeap []*instance

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i, j
}

func (h *dueHeap) Push(x any) {
	in := x.(*instance)
	in.heapAt = len(*h)
	*h = append(*h, in)
}

func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	last.heapAt = notInHeap
	return last
}

const notInHeap = -1
