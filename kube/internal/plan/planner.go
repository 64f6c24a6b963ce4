package plan

import (
	"net/netip"
	"time"
)

const (
	// MaxInFlight is the number of writes that may wait for their answers.
	MaxInFlight = 16
	// Gap is the time from the last write of a burst to the first write of the next one. istiod
	// waits for 100 ms without changes before it tells clients, and at most 10 s. So an object that
	// flaps does not delay the changes of others by more than a few hundred milliseconds.
	Gap = 250 * time.Millisecond
	// AssertEvery is how often all objects are compared with what they should be.
	AssertEvery = time.Minute
	// BlindAfter is the time without a message of the coordinator after which new Pods are decided
	// without it.
	BlindAfter = time.Minute
	// maxPause limits the pause that the API server asks for, and the pause between attempts while it
	// is away.
	maxPause, maxBackoff = time.Minute, 2 * time.Second
)

// Planner decides which objects are written, and when. NewPlanner returns one.
type Planner struct {
	// blindStatus is the status that new Pods get while the coordinator is away.
	blindStatus string
	objects     map[Key]*object
	byUID       map[string]*object // Pods
	byAddress   map[netip.Addr]map[Key]*object
	mesh        instances
	epoch       uint64 // of the coordinator
	snapshot    snapshot
	imports     imports
	heard       time.Time // when the coordinator was last heard
	undecided   map[*object]struct{}
	blind       bool // true if the undecided objects were decided without the coordinator

	queue  []*object // objects that may need a write, in the order in which this was noticed
	burst  []*object // objects of the present burst that were not written yet
	flying int
	// nextBurst is the earliest time for the next burst. No write begins before pausedUntil.
	nextBurst, pausedUntil, nextAssert time.Time
	failures                           int // failed writes in a row

	decided uint64 // number of changes of what an object should be
}

// object is an object with what it should be.
type object struct {
	*Object
	want     *Value // nil until it is decided
	degraded bool
	queued   bool // true if it is in queue or burst
	flying   bool // true if a write waits for its answer
	refused  bool // true if the API server refused a write; the next assertion tries again
	gone     bool // true if another object has its place
}

// NewPlanner returns a planner without objects. now is the time from which the coordinator counts as
// away. blindStatus is True or False.
// source is the source of the registrations of imported Pods.
func NewPlanner(now time.Time, blindStatus, source string) *Planner {
	return &Planner{
		blindStatus: blindStatus, objects: map[Key]*object{}, byUID: map[string]*object{},
		byAddress: map[netip.Addr]map[Key]*object{}, mesh: newInstances(), imports: newImports(source),
		heard: now, undecided: map[*object]struct{}{}, nextAssert: now.Add(AssertEvery),
	}
}

// Next returns the writes that must begin now, and when to call Next again: at the zero time, only
// after something has happened.
func (p *Planner) Next(now time.Time) ([]Write, time.Time) {
	p.assert(now)
	p.decideBlind(now)
	if now.Before(p.pausedUntil) {
		return nil, earliest(p.pausedUntil, p.nextAssert)
	}
	if len(p.burst) == 0 && len(p.queue) > 0 && !now.Before(p.nextBurst) {
		p.burst, p.queue = p.queue, nil
	}
	var writes []Write
	for len(p.burst) > 0 && p.flying < MaxInFlight {
		o := p.burst[0]
		p.burst = p.burst[1:]
		if w, ok := p.begin(o, now); ok {
			writes = append(writes, w)
			p.nextBurst = now.Add(Gap)
		}
	}
	return writes, p.wake(now)
}

// wake returns when Next has something to do although nothing happens before.
func (p *Planner) wake(now time.Time) time.Time {
	at := p.nextAssert
	if len(p.queue) > 0 && len(p.burst) == 0 {
		at = earliest(at, p.nextBurst)
	}
	if len(p.undecided) > 0 && !p.blind {
		at = earliest(at, p.heard.Add(BlindAfter))
	}
	return at
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// begin returns the write of an object. ok is false if it needs none now.
func (p *Planner) begin(o *object, now time.Time) (w Write, ok bool) {
	o.queued = false
	switch {
	case o.gone || o.refused:
		return Write{}, false
	case o.flying: // Done checks it again
		return Write{}, false
	case o.needsStatus():
		w = statusWrite(o.Object, *o.want, now)
	case needsWeight(o.Object, o.degraded):
		w = weightWrite(o.Object, o.degraded)
	default:
		return Write{}, false
	}
	o.flying = true
	p.flying++
	return w, true
}

// needsStatus reports whether the condition of the object differs from what it should be. The reason
// of a WorkloadEntry alone is not worth a write, because each write delays istiod.
func (o *object) needsStatus() bool {
	if o.want == nil || !o.Gated {
		return false
	}
	is, ok := o.condition()
	return !ok || is.Status != o.want.Status || o.Kind == Pod && is.Reason != o.want.Reason
}

// check queues an object if it needs a write.
func (p *Planner) check(o *object) {
	if o.queued || o.gone || o.refused || !o.needsStatus() && !needsWeight(o.Object, o.degraded) {
		return
	}
	o.queued = true
	p.queue = append(p.queue, o)
}

// assert compares all objects with what they should be, once every AssertEvery.
func (p *Planner) assert(now time.Time) {
	if now.Before(p.nextAssert) {
		return
	}
	p.nextAssert = now.Add(AssertEvery)
	for _, o := range p.objects {
		o.refused = false
		p.check(o)
	}
}

// Outcome is the kind of an answer to a write.
type Outcome uint8

// The outcomes.
const (
	Written   Outcome = iota
	Conflict          // somebody else has changed the object; Result.Object is the object as it is now
	Refused           // the object does not exist any more, or the write is not allowed
	Throttled         // the API server asks for a pause of Result.Pause
	Failed            // there was no answer, or the API server has a fault
)

// Result is the answer to a write.
type Result struct {
	Write   Write
	Outcome Outcome
	Object  *Object // the object after the write; nil if it is unknown
	Pause   time.Duration
}

// Done takes note of the answer to a write.
func (p *Planner) Done(r Result, now time.Time) {
	p.flying--
	if r.Outcome != Failed {
		p.failures = 0
	}
	switch r.Outcome {
	case Throttled:
		p.pause(now, min(max(r.Pause, time.Second), maxPause))
	case Failed:
		p.pause(now, min(Gap<<min(p.failures, 10), maxBackoff))
		p.failures++
	}
	o := p.objects[r.Write.Key]
	if o == nil || o.UID != r.Write.UID {
		return
	}
	o.flying = false
	if r.Object != nil {
		p.Observe(r.Object)
	}
	o.refused = r.Outcome == Refused
	p.check(o)
}

// pause lets no write begin before now+d. It does not shorten a longer pause.
func (p *Planner) pause(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(p.pausedUntil) {
		p.pausedUntil = until
	}
}

// decide decides about an object again, after one of its instances or the object itself has changed.
func (p *Planner) decide(o *object) {
	d := decision{}
	if p.snapshot.complete {
		d = decide(o.Kind, p.mesh.of(o.Object), p.mesh.heard)
	}
	switch {
	case d.known:
		p.want(o, d.value)
		if d.value.Status == True {
			o.degraded = d.degraded
		}
	case o.want == nil:
		p.decideAlone(o)
	}
	p.check(o)
}

// decideAlone decides about an object of which the coordinator has said nothing. A condition that it
// already has is kept. A new object stays without one, unless the coordinator is away.
func (p *Planner) decideAlone(o *object) {
	if is, ok := o.condition(); ok && (is.Status == True || is.Status == False) {
		p.want(o, is)
		return
	}
	p.undecided[o] = struct{}{}
	if p.blind && o.Kind == Pod && o.Gated {
		p.want(o, Value{Status: p.blindStatus, Reason: "CoordinatorAway", Message: "The coordinator was away when the Pod was new"})
	}
}

func (p *Planner) want(o *object, v Value) {
	delete(p.undecided, o)
	if o.want == nil || o.want.Status != v.Status || o.want.Reason != v.Reason {
		p.decided++
	}
	o.want = &v
}

// decideBlind decides about the new Pods once the coordinator has been away for BlindAfter.
func (p *Planner) decideBlind(now time.Time) {
	if p.blind || now.Before(p.heard.Add(BlindAfter)) {
		return
	}
	p.blind = true
	for o := range p.undecided {
		p.decide(o)
	}
}

// Heard says that the coordinator has sent something.
func (p *Planner) Heard(now time.Time) { p.heard, p.blind = now, false }

// Blind reports whether the coordinator has been away for BlindAfter.
func (p *Planner) Blind() bool { return p.blind }
