package sim

import (
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// The times of a registry's owner.
const (
	lateSlack  = 500 * time.Millisecond
	maxSleep   = time.Second
	lag        = 2 * time.Millisecond // from news to being awake
	aliveEvery = time.Minute
	storeTrust = 5 * time.Minute
	mostSpins  = 1000
)

// message is what comes to the owner.
type message struct {
	in       *instance
	ev       health.Event
	gen      uint32
	waited   bool // the end of a wait in vain, that began at since
	since    time.Duration
	renewal  bool // wants an answer
	override bool // ev.Override is one, or none
}

// coordinator does what the owner and the scribe of a registry do, one after
// the other, with a clock that obeys.
type coordinator struct {
	w     *world
	clock *clock
	mesh  *health.Mesh
	feed  *feed.Feed
	up    bool
	epoch uint64
	upAt  time.Duration // when it starts again
	// startedAt is when the present life began.
	startedAt stamp

	inbox       []message
	wakeAt, due time.Duration
	pausedUntil time.Duration
	forgivenAt  time.Duration
	changes     []health.Change
	spins       int // wakes in a row without time passing
	scribe
}

func newCoordinator(w *world) *coordinator {
	return &coordinator{w: w, clock: newClock(), scribe: newScribe()}
}

// next is when it will do something.
func (c *coordinator) next() time.Duration {
	if !c.up {
		return c.upAt
	}
	return max(c.wakeAt, c.pausedUntil)
}

func (c *coordinator) act() {
	if !c.up {
		c.start()
		return
	}
	if c.spins++; c.due > c.w.now || len(c.inbox) > 0 {
		c.spins = 0
	}
	if c.spins > mostSpins {
		c.w.fail("busy", "the owner wakes for a deadline that does not become due")
	}
	c.wake()
}

// deliver is a message that gets as far as to our machine.
func (c *coordinator) deliver(m message) {
	if c.up {
		c.inbox = append(c.inbox, m)
		c.wakeAt = min(c.wakeAt, c.w.now+lag)
	}
}

// wake is what the owner does when it is awake: lateness, evidence, time.
func (c *coordinator) wake() {
	o, now := c.w.oracle, c.clock.at(c.w.now)
	o.awake()
	if late := c.w.now - c.due; late > lateSlack {
		c.forgivenAt = c.w.now
		c.mesh.Forgive(late)
		o.forgive(late)
	}
	c.commit()
	for i := range c.inbox {
		c.take(now, &c.inbox[i])
	}
	from := len(c.changes)
	c.changes = c.mesh.Tick(c.changes, now)
	o.ticked(c.changes[from:])
	from = len(c.changes)
	c.changes = c.mesh.Self(c.changes, health.Serving, health.CauseOK, "")
	o.told(c.changes[from:])
	c.publish()
	c.answer()
	c.arm()
}

func (c *coordinator) take(now time.Time, m *message) {
	if m.waited && c.forgivenAt != 0 && m.since < c.forgivenAt {
		return // the wait was ours to blame
	}
	from := len(c.changes)
	if m.override {
		c.changes = c.override(c.changes, now, m)
	} else {
		c.changes = c.mesh.Apply(c.changes, now, &m.ev)
	}
	c.w.events++
	c.w.oracle.applied(m, c.changes[from:])
}

// override is the one place where overrides reach the mesh.
func (c *coordinator) override(dst []health.Change, now time.Time, m *message) []health.Change {
	return c.mesh.Apply(dst, now, &health.Event{Kind: health.EventOverride, Scope: health.ScopeOf(m.in.id), Override: m.ev.Override})
}

// publish lets the followers and the readers know.
func (c *coordinator) publish() {
	c.feed.Publish(c.changes)
	c.record(c.changes)
	for i := range c.changes {
		c.attend(&c.changes[i])
	}
	c.w.oracle.settled()
	for _, r := range c.w.readers {
		r.look(c.w)
	}
	clear(c.changes)
	c.changes = c.changes[:0]
}

// attend makes the followers those that the feed asks for.
func (c *coordinator) attend(ch *health.Change) {
	if ch.Spec == nil {
		return
	}
	in := c.w.named[ch.ID.String()]
	switch f := &in.follower; {
	case ch.Removed || ch.Pushed:
		c.w.unfollow(in)
	case f.followed != ch.Spec.Lease:
		c.w.follow(in, ch.Spec.Lease, lag)
	}
}

// answer tells who renewed what came of it.
func (c *coordinator) answer() {
	waiting := c.inbox
	c.inbox = nil
	for i := range waiting {
		if m := &waiting[i]; m.renewal {
			s, known := c.mesh.State(m.in.id)
			known = known && s.Spec.Lease == m.ev.Lease
			c.w.renewed(m.in, m.ev.Lease, known, known && s.Unreachable)
		}
	}
	c.acknowledge()
	if c.inbox == nil {
		c.inbox = waiting[:0]
	}
}

// arm sleeps until the next deadline, a second at most.
func (c *coordinator) arm() {
	sleep := maxSleep
	if next, ok := c.mesh.Deadline(); ok {
		sleep = min(sleep, max(0, next.Sub(c.clock.at(c.w.now))))
	}
	c.due = c.w.now + sleep
	c.wakeAt = c.due
	if len(c.inbox) > 0 || c.waiting() {
		c.wakeAt = min(c.wakeAt, c.w.now+lag)
	}
}

// crash ends everything that is not in the store.
func (c *coordinator) crash(d time.Duration) {
	if !c.up {
		return
	}
	c.up, c.upAt, c.pausedUntil, c.inbox = false, c.w.now+d, 0, nil
	for _, in := range c.w.all {
		c.w.unfollow(in)
		in.pushing = false
	}
	c.lose(c.w)
}

// start begins a new life with what the store has kept.
func (c *coordinator) start() {
	w := c.w
	now := c.clock.at(w.now)
	c.up, c.epoch = true, mix(w.setup.Seed+c.epoch)
	c.mesh = health.NewMesh(w.setup.Policy, c.epoch, now)
	c.feed = feed.New(c.epoch, w.setup.LogBytes)
	w.oracle.restarted()
	c.startedAt = w.oracle.stamp()
	state := c.load()
	trusted := now.Round(0).Sub(state.AliveAt) <= storeTrust && !now.Round(0).Before(state.AliveAt)
	slices.SortFunc(state.Registrations, func(a, b store.Registration) int { return a.ID.Compare(b.ID) })
	for i := range state.Registrations {
		c.restore(now, &state, i, trusted)
	}
	from := len(c.changes)
	c.changes = c.mesh.Self(c.changes, health.Serving, health.CauseOK, "")
	w.oracle.told(c.changes[from:])
	w.oracle.remembered()
	c.publish()
	c.arm()
}

func (c *coordinator) restore(now time.Time, state *store.State, i int, trusted bool) {
	in := c.w.named[state.Registrations[i].ID.String()]
	ev := health.Event{Kind: health.EventLoad, ID: in.id, Lease: state.Registrations[i].Lease}
	ev.Spec = specOf(in, ev.Lease, state.Registrations[i].Incarnation)
	c.committed[in.id] = ev.Spec
	ev.Loaded = loaded(state, in.id, now, trusted)
	from := len(c.changes)
	c.changes = c.mesh.Apply(c.changes, now, &ev)
	c.w.oracle.applied(&message{in: in, ev: ev}, c.changes[from:])
	if o := forcedBefore(state, in.id); o != nil {
		from = len(c.changes)
		m := message{in: in, ev: health.Event{ID: in.id, Override: o}, override: true}
		c.changes = c.override(c.changes, now, &m)
		c.w.oracle.applied(&m, c.changes[from:])
	}
	c.w.follow(in, ev.Lease, lag+in.noise(time.Second))
}
