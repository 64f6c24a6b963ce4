package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// oracle compares the published states with the truth, and with the evidence that the
// coordinator has received. It knows the earliest and the latest allowed time of each
// decision. Between these two times it accepts every decision of the mesh.
type oracle struct {
	w          *world
	records    map[health.ID]*record
	aggregates map[health.ID]*health.State // published aggregates: services, zones, the mesh, and the coordinator itself
	touched    []*record
	dirty      map[string]bool // services whose instances must be counted again
	expected   map[string]int
	acked      map[health.ID]uint64 // leases of the acknowledged registrations
	waiting    map[health.ID]forced // overrides of names that are not registered
	heard      map[uint64]bool      // leases under which the coordinator has ever received a status
	zones      map[string]*zone
	forgiven   time.Duration // the sum of all lateness of the coordinator
	away       time.Duration // the end of the last single lateness longer than UnreachableAfter
	revision   uint64
	scanAt     time.Duration
	noticed    stamp // the time of the last Step
	unheard    stamp // the time of the last start, unset once the first full scan after it is due
	vague      int   // number of records with vague set
	figures    Figures
}

// record has the evidence that the coordinator has received about one instance, and the state
// that the coordinator has published.
type record struct {
	o      *oracle
	in     *instance
	lease  uint64
	state  health.State
	dirty  bool
	static bool

	said      health.Status // the reported status that must be in effect
	last      health.Status // the last report, if spoken is set; it may not be in effect yet
	lastBy    health.Source
	spoken    bool
	lowered   bool // said is NOT_SERVING because the instance was given up
	also      bool // SERVING is allowed in addition to said, since the mesh may have accepted it invisibly
	seen      bool // the instance has reported a status
	source    health.Source
	confirmed bool
	unheard   bool  // the coordinator has never received a status of the instance, also before restarts
	waiting   stamp // the time since which a stock server reports SERVING, which must last for RecoverHold
	polls     int
	pushers   int

	suspectFrom stamp
	extra       time.Duration // the amnesty after the last restart of the coordinator
	silent      bool          // the instance is suspect because its path failed
	giveUp      deadline      // the earliest time at which the instance may be given up
	silentAfter deadline      // the time at which silent becomes true unless an answer comes before
	evidence
	refused        bool         // the instance was given up because it refused connections
	config         health.Cause // the configuration error that makes the status UNKNOWN; CauseNone if there is none
	renewed        stamp
	length         time.Duration // how long the lease lasts
	byItself       bool          // the process has renewed the lease since the last start of the coordinator
	expired        stamp         // when the oracle noticed that the lease has expired; ended is the end of the lease
	ended          stamp
	gone, held     bool // gone: the instance was given up because of silence; held: it would be, if no guard held it
	overForgiven   bool // the instance was given up as UNKNOWN because it was over-forgiven
	vague          bool // it is not visible whether a guard counts the instance as suspect
	countedSuspect bool // the zones of the instance count it as suspect
	countedKnown   bool // the zones of the instance count it as known

	born     stamp
	grace    time.Duration // time after born until the instance counts in its service even if it was never routable
	forced   *health.Override
	forcedTo time.Duration // the end of the override; the constant never if the override has no end
	moves    int           // number of changes of the status; after three, flap damping may suppress the instance
	flapping stamp
}

// stamp is a time, with the sum of the lateness that was forgiven before that time.
type stamp struct {
	at, forgiven time.Duration
	set          bool
}

// deadline is the end of a wait that lasts length. Lateness moves the deadline by at most four
// times length in total; moved is the sum so far.
type deadline struct {
	ends, length, moved time.Duration
	set                 bool
}

// evidence is the part of a record that says which answers came and when.
type evidence struct {
	refusedAt, failedAt, garbledAt time.Duration // times of the first refusal, error and invalid answer since the last good answer; 0 means none

	heard     time.Duration // the last time that the coordinator received anything from the address
	heardThen time.Duration // the value of heard when the instance became suspect
	failed    bool          // the process answers with errors, which count as the report NOT_SERVING
	full      bool          // the instance is suspect because its server has no room for calls
	strange   bool          // the instance is suspect because another process answers at its address
	// stranger is true if the last answer from the address of the instance came from
	// another process.
	stranger bool
	named    bool // the server knew its health name, at namedAt for the first time
	namedAt  time.Duration

	session         uint64        // the session of the last answer
	before, between bool          // before: an answer came on session; between: a renewal came after that answer
	incarnation     string        // the incarnation of the registered process
	spoke           stamp         // the last time that the coordinator received anything from the registered process itself
	mayGo           time.Duration // the earliest end of the lease of a leaving instance; 0 means the ordinary end
	alone           stamp         // the last time at which a push stream of the instance began or ended
}

// zone is the scope of a guard. The zone with the empty name is the whole mesh.
type zone struct {
	known, suspects int
	tripped         bool
	before          bool  // the value of tripped at the begin of the Step
	since           stamp // the last time that tripped changed
	ended           bool  // the guard has ended at least once
}

// forced is the override of a name. until is its end, or the constant never. The oracle keeps
// overrides of removed names, since no script lasts a day.
type forced struct {
	override *health.Override
	until    time.Duration
}

func (o *oracle) policy() *health.MeshPolicy { return &o.w.setup.Policy }

func (o *oracle) stamp() stamp { return stamp{o.w.now, o.forgiven, true} }

// due reports whether length has passed since s. Forgiven lateness extends length.
func (o *oracle) due(s stamp, length time.Duration) bool { return o.stamp().past(s, length) }

func (now stamp) past(s stamp, length time.Duration) bool {
	return s.set && now.at >= now.ends(s, length)
}

// ends returns the time at which length has passed since s. The lateness between s and now
// extends length by four times its value at most.
func (now stamp) ends(s stamp, length time.Duration) time.Duration {
	return s.at + length + min(now.forgiven-s.forgiven, 4*length)
}

// lost reports whether r was given up, or would be given up if no guard held it.
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

// slack is the tolerance of every check of a time. It is the longest sleep of the core.
const slack = time.Second
