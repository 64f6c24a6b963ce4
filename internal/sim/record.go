package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// oracle checks the states that the coordinator publishes. It knows the truth, and the
// evidence that the coordinator has received. From these it computes the earliest and the
// latest allowed time of each decision, and accepts the decision between the two times.
type oracle struct {
	w          *world
	records    map[health.ID]*record
	aggregates map[health.ID]*health.State // published aggregates: services, zones, the mesh, and the coordinator itself
	touched    []*record
	dirty      map[string]bool      // services whose instances must be counted again
	expected   map[string]int       // for each service, the statuses that OpExpect allows, as bits; 0 allows all
	acked      map[health.ID]uint64 // leases of the acknowledged registrations
	waiting    map[health.ID]forced // overrides of instances that are not registered
	heard      map[uint64]bool      // leases under which the coordinator has ever received a status
	zones      map[string]*zone
	forgiven   time.Duration // the sum of all lateness that the core has forgiven since the begin of the script
	away       time.Duration // the last time at which the coordinator noticed that it was late by more than UnreachableAfter at once
	revision   uint64        // the revision of the last published change
	scanAt     time.Duration // the time of the next check of all instances
	noticed    stamp         // the time of the last call of core.Step
	unheard    stamp         // the last start of the coordinator; unset after the time in which the instances from the store must answer
	vague      int           // number of records for whose instance the oracle cannot see whether a guard counts it as suspect
	figures    Figures
}

// record has the evidence that the coordinator has received about one instance, and the state
// of the instance that the coordinator has published.
type record struct {
	o      *oracle
	in     *instance
	lease  uint64
	state  health.State
	dirty  bool
	static bool

	said      health.Status // the status that the mesh must use, according to the reports so far
	last      health.Status // the status that was reported last; the mesh may use it only later, for example after RecoverHold
	lastBy    health.Source
	spoken    bool // true if last and lastBy are set
	lowered   bool // true if said is NOT_SERVING because of silence, refused connections or an expired lease, not because of a report
	also      bool // true if SERVING may be published too: the oracle cannot see whether the mesh has accepted a report of SERVING
	seen      bool // true if the instance has reported a status, or if it became NOT_SERVING without a report
	source    health.Source
	confirmed bool
	unheard   bool  // true if the coordinator has never received a status of the instance, neither before nor after a restart
	waiting   stamp // the time since which a stock server reports SERVING; SERVING counts only after RecoverHold
	polls     int
	pushers   int

	suspectFrom stamp         // the time since which the instance is suspect; unset if the instance is not suspect
	extra       time.Duration // additional time that the instance has to answer after a restart of the coordinator (Amnesty in the policy)
	silent      bool          // true if the instance is suspect because the network path to it failed
	giveUp      deadline      // the earliest time at which the coordinator may make the status of the suspect instance worse
	silentAfter deadline      // the time at which the field silent becomes true, unless the instance answers before
	evidence
	refused        bool          // true if the instance became NOT_SERVING because it refused connections
	config         health.Cause  // the configuration error that makes the status UNKNOWN; CauseNone if there is no such error
	renewed        stamp         // the last renewal of the lease
	length         time.Duration // the time from a renewal of the lease to its end
	byItself       bool          // true if the client has renewed the lease since the last start of the coordinator
	expired        stamp         // the time at which the oracle noticed that the lease has expired; unset if the lease is valid
	ended          stamp         // the end of the lease, if it has expired or the instance was deregistered
	gone           bool          // true if the status became worse because of silence or an expired lease
	held           bool          // true if the status would have become worse, but a guard keeps the last status
	overForgiven   bool          // true if the silent instance became UNKNOWN and not NOT_SERVING, because the coordinator itself was late for too long in total
	vague          bool          // true if the oracle cannot see whether a guard counts the instance as suspect
	countedSuspect bool          // true if the zones of the instance count it as suspect
	countedKnown   bool          // true if the zones of the instance count it as known

	born     stamp            // the time of the registration
	grace    time.Duration    // time from the registration until the instance counts in its service, even if it was never routable
	forced   *health.Override // the override of the instance; nil if there is none
	forcedTo time.Duration    // the end of the override; the constant never if the override has no end
	moves    int              // number of changes of the status; after three, flap damping may suppress the instance
	flapping stamp            // the time since which flap damping suppresses the instance; unset if the instance is not suppressed
}

// stamp is a time of the script. With it comes the total by which the coordinator had extended
// its deadlines until this time, because the coordinator itself was late.
type stamp struct {
	at, forgiven time.Duration
	set          bool
}

// deadline is the end of a wait that lasts for the duration length. Lateness of the coordinator
// moves the end, but by at most four times `length` in total. moved is the sum of all moves.
type deadline struct {
	ends, length, moved time.Duration
	set                 bool
}

// evidence has the answers that the coordinator has received from the address of an instance,
// and their times.
type evidence struct {
	refusedAt time.Duration // the time of the first refused connection since the last good answer; 0 means none
	failedAt  time.Duration // the time of the first answer with an error since the last good answer; 0 means none
	garbledAt time.Duration // the time of the first invalid answer since the last good answer; 0 means none

	heard      time.Duration // the last time that the coordinator received anything from the address of the instance
	heardThen  time.Duration // the value of the field heard when the instance became suspect
	failed     bool          // true if the process answers with errors, which count as the report NOT_SERVING
	full       bool          // true if the instance is suspect because its server has no room for calls
	byStranger bool          // true if the instance is suspect because another process answers at its address
	// stranger is true if the last answer from the address of the instance came from
	// another process.
	stranger bool
	named    bool          // true if the server has at any time known the name that health calls to it use
	namedAt  time.Duration // the first time that the server knew the name that health calls to it use

	session     uint64        // number of the stream of the last answer without a proof
	before      bool          // true if an answer came on the stream with the number session
	between     bool          // true if the lease was renewed after an answer on the stream with the number session
	incarnation string        // the incarnation of the registered process
	spoke       stamp         // the last time that the coordinator received anything from the registered process itself
	mayGo       time.Duration // the earliest time at which the mesh may remove a DRAINING or MAINTENANCE instance; 0 means the end of its lease
	alone       stamp         // the last time at which a push stream of the instance began or ended
}

// zone is the set of instances that one guard watches. The zone with the empty name is the
// whole mesh.
type zone struct {
	known    int // number of instances that the guard counts
	suspects int // number of counted instances that are suspect
	tripped  bool
	before   bool  // the value of the field tripped before this call of core.Step
	since    stamp // the last time that the field tripped changed
	ended    bool  // true if the guard was tripped and has been released at least once
}

// forced is the override of an instance. It ends at the time in the field until, which may be
// the constant never. The override stays when the registration of the instance ends.
type forced struct {
	override *health.Override
	until    time.Duration
}

func (o *oracle) policy() *health.MeshPolicy { return &o.w.setup.Policy }

func (o *oracle) stamp() stamp { return stamp{o.w.now, o.forgiven, true} }

// due reports whether the duration length has passed since the time s. Lateness that the core
// has forgiven since s makes the duration longer.
func (o *oracle) due(s stamp, length time.Duration) bool { return o.stamp().past(s, length) }

func (now stamp) past(s stamp, length time.Duration) bool {
	return s.set && now.at >= now.ends(s, length)
}

// ends returns the end of a wait that began at the time s and lasts for the duration length.
// The lateness between s and now extends the wait, by at most four times `length`.
func (now stamp) ends(s stamp, length time.Duration) time.Duration {
	return s.at + length + min(now.forgiven-s.forgiven, 4*length)
}

// lost reports whether the status became worse without a report, or would have done so without
// a guard. The reason is silence, refused connections, or an expired lease.
func (r *record) lost() bool { return r.refused || r.gone || r.held || r.expired.set }

func (o *oracle) zone(name string) *zone {
	z := o.zones[name]
	if z == nil {
		z = &zone{}
		o.zones[name] = z
	}
	return z
}

func zonesOf(in *instance) []string {
	if in.zone == "" {
		return []string{""}
	}
	return []string{"", in.zone}
}

// slack is the tolerance with which the oracle checks times. It is the longest time that the
// core asks for between two calls of core.Step.
const slack = time.Second
