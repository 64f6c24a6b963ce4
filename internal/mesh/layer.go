package mesh

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// env holds the values that all parts of one Mesh share.
type env struct {
	clock
	policy    health.MeshPolicy // policy with its defaults filled in
	awareness awareness
	out       output
}

// output collects the changes of one call of a Mesh, and gives each change a revision.
type output struct {
	epoch    uint64
	revision uint64          // revision of the last change; 0: there was no change
	changes  []health.Change // changes of the current call; nil between calls
}

// begin starts to collect the changes of a call. They are appended to dst.
func (o *output) begin(dst []health.Change) { o.changes = dst }

// end returns the changes of the call.
func (o *output) end() []health.Change {
	changes := o.changes
	o.changes = nil
	return changes
}

// begin starts a call at the time now whose changes are appended to dst.
func (e *env) begin(dst []health.Change, now time.Time) {
	e.setNow(now)
	e.out.begin(dst)
}

// publish gives s the next revision and appends a change with the state s. from is the status
// before the change.
func (e *env) publish(s *health.State, from health.Status) {
	o := &e.out
	o.revision++
	s.Revision = o.revision
	o.changes = append(o.changes, health.Change{State: *s, Epoch: o.epoch, From: from, At: e.wall})
}

// turn holds the values that a layer may use while it handles one instance. In addition, a
// layer may use the layers before it.
type turn struct {
	*env
	service string       // name of the service of the instance
	spec    *health.Spec // registration of the instance
}

// verdict is the status of one instance that a layer passes to the next layer.
type verdict struct {
	status      health.Status
	cause       health.Cause
	reason      string
	unconfirmed bool
	nextAt      moment       // moment when the next decision is expected; 0: none is expected
	nextCause   health.Cause // cause that this decision would give
}

// finding is the conclusion of the reach layer from an event or a deadline. The report layer
// and the guard layer use it.
type finding uint8

const (
	foundNothing finding = iota
	// foundAnswer means that the instance has sent a valid answer.
	foundAnswer
	// foundUnprovenAnswer means that an answer without proof came after the end of the lease.
	// The report layer stores the status of this answer, but does not use it yet.
	foundUnprovenAnswer
	// foundFailure means that the target has answered two calls with an error.
	foundFailure
	// foundSuspicion means that the last status cannot be confirmed, or that the answers say
	// nothing about the health.
	foundSuspicion
	// foundLoss means that the instance was given up because of silence. A guard may hold it.
	foundLoss
	// foundDeath means that the instance was given up and that no guard may hold it.
	foundDeath
	// foundGone means that the instance must be removed.
	foundGone
)
