package sim

import (
	"time"

	"github.com/meshhealth/meshhealth/health"
)

// oracle holds what is published against the truth and against the evidence
// that came through. It knows when something may be decided and when it must
// be; what the mesh does between, it takes over.
type oracle struct {
	w        *world
	records  map[health.ID]*record
	wholes   map[health.ID]*health.State // aggregates, as published
	touched  []*record
	dirty    map[string]bool // services to count anew
	expected map[string]int
	acked    map[health.ID]uint64 // registrations that were acknowledged
	zones    map[string]*zone
	forgiven time.Duration // all lateness so far
	revision uint64
	scanAt   time.Duration
	noticed  stamp // the last time the owner was awake
	unheard  stamp // those that were loaded may still be heard of
	vague    int   // records of whom it is not known how they stand with the guards
	figures  Figures
}

func newOracle(w *world) *oracle {
	o := &oracle{w: w, expected: map[string]int{}, acked: map[health.ID]uint64{}}
	o.forget()
	return o
}

// forget is what a crash of the coordinator does to what was published.
func (o *oracle) forget() {
	o.records, o.wholes = map[health.ID]*record{}, map[health.ID]*health.State{}
	o.dirty, o.zones = map[string]bool{}, map[string]*zone{}
	o.touched, o.revision, o.vague, o.unheard = nil, 0, 0, o.stamp()
}

// stamp is a time, and how much lateness had been forgiven by then.
type stamp struct {
	at, forgiven time.Duration
	set          bool
}

func (o *oracle) stamp() stamp { return stamp{o.w.now, o.forgiven, true} }

// due reports whether what was to last so long from s on is over.
func (o *oracle) due(s stamp, length time.Duration) bool { return o.stamp().past(s, length) }

func (now stamp) past(s stamp, length time.Duration) bool {
	return s.set && now.at >= now.ends(s, length)
}

// ends is when that is over, by the lateness known at now.
func (now stamp) ends(s stamp, length time.Duration) time.Duration {
	return s.at + length + min(now.forgiven-s.forgiven, 4*length)
}

// worn reports whether that would have needed more forgiveness than there is.
func (o *oracle) worn(s stamp, length time.Duration) bool {
	return s.set && o.forgiven-s.forgiven > 4*length
}

// awakeFor is how long the owner has been awake since.
func (o *oracle) awakeFor(s stamp) time.Duration {
	return o.w.now - s.at - (o.forgiven - s.forgiven)
}

func (o *oracle) forgive(late time.Duration) { o.forgiven += late }

func (o *oracle) policy() *health.MeshPolicy { return &o.w.setup.Policy }

// record is what came through of one instance, and what was published of it.
type record struct {
	in     *instance
	lease  uint64
	state  health.State
	dirty  bool
	static bool

	said      health.Status
	also      bool // or it is Serving by now: that could not be seen
	seen      bool // it has said something
	source    health.Source
	confirmed bool
	waiting   stamp // a stock SERVING waits to be believed
	polls     int
	pushers   int

	doubt      stamp
	extra      time.Duration // amnesty
	silent     bool          // by evidence of the path
	loaded     bool          // silent as soon as nothing was heard for long enough
	refusedAt  time.Duration
	refused    bool // given up for that
	config     bool
	renewed    stamp
	length     time.Duration // of the lease
	byItself   bool          // it has renewed that
	expired    stamp         // given up for that; and since when it may be removed
	ended      stamp
	gone, held bool // given up for its silence; and kept by a guard
	vague      bool
	doubted    bool // as it is entered in the zones
	known      bool

	born     stamp
	forced   *health.Override
	forcedTo time.Duration // never: until it is cleared
	moves    int           // changes of what it says or seems
	flapping stamp
}

func (r *record) leaving() bool { return r.said == health.Draining || r.said == health.Maintenance }

// touch has r looked at when the owner has done.
func (o *oracle) touch(r *record) {
	if !r.dirty {
		r.dirty = true
		o.touched = append(o.touched, r)
	}
}

// settled looks at all that this wake has touched, and now and then at
// everything, since what does not happen touches nothing.
func (o *oracle) settled() {
	o.turnZones()
	o.noticed = o.stamp()
	for _, r := range o.touched {
		r.dirty = false
		if o.records[r.in.id] == r {
			o.check(r)
		}
	}
	changed := len(o.touched) > 0 || len(o.dirty) > 0
	o.touched = o.touched[:0]
	if o.due(o.unheard, o.policy().UnreachableAfter/2+max(o.policy().Amnesty, 0)) {
		o.scanAt, o.unheard = 0, stamp{}
	}
	if o.w.now >= o.scanAt {
		o.scanAt = o.w.now + time.Second
		o.scan()
		changed = true
	}
	if changed && o.w.fault == nil {
		o.checkZones()
		o.checkServices()
	}
}

// scan looks at every record.
func (o *oracle) scan() {
	for _, in := range o.w.all {
		if r := o.records[in.id]; r != nil {
			o.check(r)
		}
	}
	for _, s := range o.w.services {
		o.dirty[s.Name] = true
	}
}

func (o *oracle) expect(service string, bits int) {
	o.expected[service] = bits
	o.dirty[service] = true
}
