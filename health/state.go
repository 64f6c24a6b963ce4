package health

import "time"

// State is all that is published about one instance or aggregate. What it
// points to is immutable: a change makes a new State.
type State struct {
	ID     ID
	Status Status
	Cause  Cause
	Reason string // in words; may be empty
	// Since is when Status was taken.
	Since time.Time
	// FirstFailure is when the present trouble began; zero if there is none.
	FirstFailure time.Time
	// Unconfirmed: Status is kept, but cannot be confirmed at the moment.
	Unconfirmed bool
	// Root names what this failure comes from, where known; Affected is how many
	// services it is the root of.
	Root     string
	Affected int
	// NextAt is when the next thing will be decided, NextCause what; zero if
	// nothing is pending.
	NextAt    time.Time
	NextCause Cause
	// Override forces Status; nil if nothing does.
	Override *Override
	// Judged is the status without the override, Proven whether it has been
	// routable since the registration. Instances only.
	Judged Status
	Proven bool
	// Spec is what an instance registered with; nil for an aggregate.
	Spec *Spec
	// Checks and Metrics are what an instance reports of itself.
	Checks  []CheckState
	Metrics *Metrics
	// Counts is how many instances (services, for the mesh) are what; nil for
	// an instance.
	Counts *Counts
	// Source is how the status came to us.
	Source Source
	// Pushed: the instance pushes its status; nobody need follow it.
	Pushed bool
	// Unreachable: we cannot reach it, though it renews its lease.
	Unreachable bool
	// Removed: it is gone.
	Removed bool
	// Revision rises with every change of anything.
	Revision uint64
}

// Change is a new state and where it came from.
type Change struct {
	State
	Epoch uint64
	From  Status
	At    time.Time
}

// Transition reports whether the status changed, or the thing went away; other
// changes are of cause, doubt, labels and the like.
func (c *Change) Transition() bool { return c.From != c.Status || c.Removed }

// Recorded reports whether c belongs into a history: a transition, but none of
// who judges, nor of what a service has in a zone, which its instances and the
// zone tell already.
func (c *Change) Recorded() bool {
	_, part := c.ID.Part()
	return c.Transition() && c.ID != ID{} && (!part || c.ID.Service == MeshName)
}

// Spec is what an instance registered with.
type Spec struct {
	Address     string
	HealthName  string // the name to ask it for; empty: the service's
	Incarnation string // random per process; empty for a static one
	Labels      map[string]string
	Zone        string
	Version     string
	ServerName  string // to verify in its certificate; empty: the address's
	Static      bool   // no lease
	Configured  bool   // static, by whoever configured the coordinator
	TTL         time.Duration
	// Judge is how it wants its service to be judged; nil if it does not care.
	Judge *ServicePolicy
	// Lease identifies this registration; evidence of another is dropped.
	Lease        uint64
	RegisteredAt time.Time
}

// CheckState is one local check as its process publishes it.
type CheckState struct {
	Name          string
	Status        Status
	Cause         Cause
	Reason        string
	LastRun       time.Time
	ResponseTime  time.Duration
	Passes, Fails int
	HasValue      bool
	Value         float64
	Unit          string
	Runs          uint64
	Failures      uint64
}

// sameVerdict reports whether both say the same, figures aside.
func (c *CheckState) sameVerdict(o *CheckState) bool {
	return c.Name == o.Name && c.Status == o.Status && c.Cause == o.Cause && c.Reason == o.Reason
}

// Metrics are figures of an instance.
type Metrics struct {
	Runs, Failures  uint64
	ResponseTimeP50 time.Duration
	ResponseTimeP99 time.Duration
	Gauges          map[string]float64
}

// Counts is how many are what.
type Counts struct {
	By          [NumStatuses]int
	Counted     int
	Unconfirmed int
	// Rule is what makes a status of them; of the mesh and its zones the zero
	// value.
	Rule Rule
}

// Of returns how many have this status.
func (c *Counts) Of(s Status) int { return c.By[s] }

// Total returns how many there are.
func (c *Counts) Total() int {
	n := 0
	for _, k := range c.By {
		n += k
	}
	return n
}
