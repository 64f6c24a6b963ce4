package health

import "time"

// EventKind says what an Event tells.
type EventKind uint8

// The kinds of events, with the fields each uses beside ID and Lease.
const (
	// EventRegister adds or updates an instance (Spec). A new lease takes the
	// name over: it is Starting, and evidence of the old lease is dropped.
	EventRegister EventKind = iota + 1
	// EventLoad adds an instance from a store (Spec, Loaded).
	EventLoad
	// EventDeregister removes an instance.
	EventDeregister
	// EventReport is any status received from it (Report). Renews.
	EventReport
	// EventAlive is a message without a status received from it. Renews.
	EventAlive
	// EventRenew is a renewal of its lease: it lives, but says nothing of the
	// path to it.
	EventRenew
	// EventRefused is a dial answered by ECONNREFUSED (Reason).
	EventRefused
	// EventPath is anything that speaks against the path to it: a time-out, no
	// route, DNS, missed heartbeats (Reason).
	EventPath
	// EventConfig is an answer that only a change of configuration can mend
	// (Cause, Reason).
	EventConfig
	// EventPushed says that one more stream pushes its status (On), or one less.
	EventPushed
	// EventOverride sets (Override) or with nil clears what is forced on all in
	// Scope; ID and Lease say nothing. It holds for those who come later too.
	EventOverride
	// EventUnwell says that we ourselves lack something, such as file descriptors.
	// It is about nobody: ID and Lease say nothing.
	EventUnwell
	// EventUnasked says that we have not asked it for so long that what it said
	// last need not hold any more (Reason). That is unconfirmed until it is heard
	// of, and nothing else comes of it: it was our doing.
	EventUnasked
)

// Event is one thing that was seen of one instance. Events about unknown
// instances, and evidence with another lease than the instance's, do nothing.
type Event struct {
	Kind     EventKind
	ID       ID
	Lease    uint64
	Spec     *Spec
	Loaded   *Loaded
	Report   Report
	Cause    Cause
	Reason   string
	On       bool
	Scope    Scope
	Override *Override
}

// Source is how a status came to us. It decides how a better one is believed.
type Source uint8

// The sources.
const (
	SourceNone       Source = iota
	SourceMeshhealth        // has judged already: believed at once
	SourcePush              // the same, pushed by the instance
	SourceWatch             // a stock Watch: better only after RecoverHold
	SourcePoll              // a stock Check: and after RecoverAfter polls
)

// String returns the mode's name in metrics and commands.
func (s Source) String() string {
	return [...]string{"connecting", "meshhealth-watch", "report", "grpc-watch", "grpc-poll"}[s]
}

// stock reports whether the source does not judge its evidence itself.
func (s Source) stock() bool { return s == SourceWatch || s == SourcePoll }

// Report is what an instance says of itself.
type Report struct {
	Source       Source
	Status       Status
	Cause        Cause // none: derived from Status
	Reason       string
	FirstFailure time.Time // zero: now, if it is trouble
	Checks       []CheckState
	Metrics      *Metrics
}

// Loaded is what a store knew of an instance.
type Loaded struct {
	Status Status // Starting if it never had another
	Cause  Cause
	Reason string
	Since  time.Time
	Proven bool
	// Trusted: young enough to be kept until evidence comes.
	Trusted bool
}
