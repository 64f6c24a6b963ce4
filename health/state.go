package health

import (
	"net/netip"
	"time"
)

// State is the published state of an instance or of an aggregate (a service, a zone or the
// mesh). The values to which its pointers, slices and maps refer are immutable. A change
// creates new values.
type State struct {
	ID     ID
	Status Status
	Cause  Cause
	Reason string // explanation of the cause for people; may be empty
	// Since is the time when Status got its present value.
	Since time.Time
	// FirstFailure is the time when the present failure began. It is zero if there is no
	// failure.
	FirstFailure time.Time
	// Unconfirmed reports that Status is the last known status, which cannot be confirmed
	// now.
	Unconfirmed bool
	// Root is the service that causes the failure of this service. It is empty if no such
	// service is known. Affected is the number of services that have this service as Root.
	Root     string
	Affected int
	// Dependencies are the services that this service needs, as the configuration says: first
	// those that it cannot do without, then the others, both sorted by name. Only the aggregate of
	// a whole service has dependencies.
	Dependencies []Dependency
	// NextAt is the time when the status will probably change if there is no new evidence. It
	// is zero if no change is expected. NextCause is the cause of the status after this change.
	NextAt    time.Time
	NextCause Cause
	// Override is the override that forces Status, or nil.
	Override *Override
	// Judged is the status that the instance would have without the override. Proven reports
	// whether the instance was routable (SERVING or DEGRADED) at least once since its registration.
	Judged Status
	Proven bool
	// Unheard reports that the coordinator has received no status of the instance since its
	// registration. A restart of the coordinator does not set Unheard to true again.
	Unheard bool
	// Spec is the registration of an instance. It is nil for an aggregate.
	Spec *Spec
	// Checks and Metrics are the last values that the instance has reported about itself.
	Checks  []CheckState
	Metrics *Metrics
	// Counts holds the numbers of members of an aggregate. It is nil for an instance.
	Counts *Counts
	// Source says how the status was received. Via says in words why the coordinator could use
	// no better source. Via is empty if Source is the best one.
	Source Source
	Via    string
	// Named reports that the target has answered at least once for its health name (the service
	// name in health calls). If Named is true, a status for the empty name (the whole server) is
	// not used.
	Named bool
	// Unproved reports that the last answer had no proof of the process key, although the
	// registered process proves its answers. The answer may come from another process.
	Unproved bool
	// Stranger reports that a process other than the registered one answers at the address of
	// the instance.
	Stranger bool
	// Pushed reports that the instance pushes its status, so that the coordinator need not
	// follow it.
	Pushed bool
	// Unreachable reports that the coordinator cannot reach the instance, although its client
	// renews the lease.
	Unreachable bool
	// Expired reports that the lease has ended, and that no guard keeps the last status.
	Expired bool
	// Route is what routing clients learn of the instance. RouteKept reports that Route is kept
	// from before, although Status says something else: Status is UNKNOWN, or too many instances of
	// the service cannot be reached.
	Route     Route
	RouteKept bool
	// Endpoint is the IP address and port of the instance for routing clients. It is not valid
	// if the coordinator has not resolved the host name of the instance yet, or if a proof is missing.
	Endpoint netip.AddrPort
	// Proof says on what grounds the instance may receive traffic at its endpoint. It is the best proof so far: that
	// of the registration, or that of a dial since then.
	Proof EndpointProof
	// Removed reports that the instance or the aggregate was removed.
	Removed bool
	// Revision is the number of the last change of this state. Each change of any state has a
	// higher revision than the change before it.
	Revision uint64
}

// Change is a new state together with the status before it.
type Change struct {
	State
	// Epoch identifies the process that has published the change. It is a random number that
	// differs after each restart of this process.
	Epoch uint64
	From  Status    // status before the change
	At    time.Time // time of the change
}

// Transition reports whether c is a change of the status or a removal. All other changes
// affect only other fields, such as the cause or the labels.
func (c *Change) Transition() bool { return c.From != c.Status || c.Removed }

// Recorded reports whether the history of the coordinator contains c. The history contains
// only transitions. It omits transitions of the coordinator itself. It also omits transitions
// of a service in one zone, because the transitions of the instances have the same information.
func (c *Change) Recorded() bool {
	_, inZone := c.ID.Zone()
	return c.Transition() && c.ID != ID{} && (!inZone || c.ID.Service == MeshName)
}

// Spec is the registration of an instance.
type Spec struct {
	Address     string // network address of the instance as host:port
	HealthName  string // service name in health calls; empty means the name of the service
	Incarnation string // random value that is new for each process; empty for a static instance
	Labels      map[string]string
	Zone        string
	Version     string
	ServerName  string        // name in the certificate of the server; empty means the host of Address
	Static      bool          // true if the instance has no lease
	Configured  bool          // true if the configuration of the coordinator contains the instance
	TTL         time.Duration // length of the lease; 0 for a static instance
	// Judge is the policy that the instance declares for its service. nil means that the
	// instance declares no policy.
	Judge *ServicePolicy
	// Key is the secret of the registered process. It is zero if the process has sent no key.
	// Proves reports that the server at Address proves its answers with Key.
	Key    Key
	Proves bool
	// Protocol is the protocol by which the coordinator follows the instance.
	Protocol Protocol
	Traffic  Traffic
	Region   string // region in which Zone is
	// Source is the name of the program that maintains a static registration; it may be empty.
	Source string
	// Registrant is the identity that has registered the instance, as in the access policy. It is empty if
	// the caller had none, and for a configured instance. Peer is the address from which it called.
	Registrant string
	Peer       netip.Addr
	// Proof is the proof that came with the registration: ProofMissing if only a dial can prove the endpoint.
	Proof EndpointProof
	// Lease is the number of this registration. The coordinator drops evidence that was collected
	// under the number of another registration of the same instance.
	Lease        uint64
	RegisteredAt time.Time
}

// CheckState is the state of one check, as its process has published it.
type CheckState struct {
	Name          string
	Status        Status
	Cause         Cause
	Reason        string
	LastRun       time.Time
	ResponseTime  time.Duration // duration of the last run
	Passes, Fails int           // numbers of consecutive passes and failures, up to the last run
	HasValue      bool          // true if Value and Unit are set
	Value         float64
	Unit          string // unit of Value, for example "ms"
	Runs          uint64 // number of runs since the start of the process
	Failures      uint64 // number of failed runs since the start of the process
}

// Metrics holds figures about the checks of an instance.
type Metrics struct {
	Runs, Failures  uint64 // numbers of runs and of failed runs of all checks since the process started
	ResponseTimeP50 time.Duration
	ResponseTimeP99 time.Duration
	Gauges          map[string]float64
}

// Counts holds the numbers of members of an aggregate. The members of a service are
// instances. The members of the mesh and of a zone are services.
type Counts struct {
	By          [NumStatuses]int // number of members with each status
	Counted     int              // number of members from which the status is computed
	Unconfirmed int              // number of members whose status is unconfirmed
	// Unheard is the number of instances older than StartupGrace that have never sent a status. The
	// status is computed without these instances, and is at best DEGRADED. If there are no other
	// instances from which it can be computed, these instances are used, and Unheard is 0.
	Unheard int
	// Rule is the rule by which the status is computed from these numbers.
	Rule Rule
	// Critical and Optional report whether a service is critical or optional (see
	// ServicePolicy). Both are false for the mesh and its zones.
	Critical, Optional bool
	// Normal is the number of services that are neither critical nor optional, and not STARTING,
	// DRAINING or MAINTENANCE. Routable is how many of these are SERVING or DEGRADED. Need is how
	// many must be so. CriticalDown is the number of critical services that are NOT_SERVING. All
	// four are set only for the mesh and its zones under the rule Available.
	Normal, Routable, Need, CriticalDown int
}

// Of returns how many members have the status s.
func (c *Counts) Of(s Status) int { return c.By[s] }

// Total returns the number of members.
func (c *Counts) Total() int {
	n := 0
	for _, k := range c.By {
		n += k
	}
	return n
}
