package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// env holds the values that all parts of a Mesh share.
type env struct {
	clock
	policy    health.MeshPolicy // policy with its defaults filled in
	awareness awareness
	out       output
}

// output collects the changes of one call of a Mesh. It gives each change a revision.
type output struct {
	epoch    uint64
	revision uint64          // revision of the last change; 0 before the first change
	changes  []health.Change // changes of the current call; nil between two calls
}

// begin starts to collect the changes of a call, which are appended to dst.
func (o *output) begin(dst []health.Change) { o.changes = dst }

// end returns the collected changes.
func (o *output) end() []health.Change {
	changes := o.changes
	o.changes = nil
	return changes
}

// begin starts a call at the time now. The changes of the call are appended to dst.
func (e *env) begin(dst []health.Change, now time.Time) {
	e.setNow(now)
	e.out.begin(dst)
}

// publish gives the state s the next revision and appends s to the changes of the current call.
// from is the status before the change.
func (e *env) publish(s *health.State, from health.Status) {
	o := &e.out
	o.revision++
	s.Revision = o.revision
	o.changes = append(o.changes, health.Change{State: *s, Epoch: o.epoch, From: from, At: e.wall})
}

// turn holds the values that a layer may use while it handles one instance. In addition, a layer
// may use the earlier layers of the same instance, but nothing else.
type turn struct {
	*env
	service string       // name of the service of the instance
	spec    *health.Spec // registration of the instance
}

// verdict is what a layer passes to the next layer: the status of one instance with its cause.
type verdict struct {
	status      health.Status
	cause       health.Cause
	reason      string
	unconfirmed bool
	nextAt      moment       // moment when the status may change next; 0 if no change is expected
	nextCause   health.Cause // cause that the status would have after the change at nextAt
}

// finding is what the reach layer concludes from an event or from the end of a deadline. The
// report layer and the guard layer use it.
type finding uint8

const (
	foundNothing finding = iota
	// foundAnswer means that the instance has sent a valid answer.
	foundAnswer
	// foundUnprovenAnswer means that an answer came after the lease had ended, without a proof that
	// the registered process has sent it. The report layer stores the status of this answer, but
	// does not use it yet.
	foundUnprovenAnswer
	// foundFailure means that the target has answered two calls in a row with an error.
	foundFailure
	// foundSuspicion means that the last status cannot be confirmed now, or that the answers
	// contain nothing about the health.
	foundSuspicion
	// foundLoss means that the instance was declared dead because of silence. A guard may hold
	// the instance, so that its status does not become worse.
	foundLoss
	// foundDeath means that the instance was declared dead, and that no guard may hold it.
	foundDeath
	// foundGone means that the instance must be removed.
	foundGone
)
