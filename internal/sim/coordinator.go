package sim

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

const (
	lag        = 2 * time.Millisecond // time from an input of the core to the call of core.Step
	storeTrust = 5 * time.Minute
	queueBytes = 1 << 20
	mostSpins  = 1000
	mostLates  = 32
)

func newCoordinator(w *world) *coordinator {
	return &coordinator{w: w, clock: newClock(), store: store.NewMemory(100)}
}

// next returns the time at which the method act must be called: the time of the next start of
// the coordinator, or of the next call of core.Step.
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
	if c.spins++; c.due > c.w.now || c.hasInputs() {
		c.spins = 0
	}
	if c.spins > mostSpins {
		c.w.fail("busy", "the core asks for a Step again and again, and nothing is due")
	}
	c.step()
}

func (c *coordinator) hasInputs() bool {
	return len(c.inbox) > 0 || c.called < len(c.calls) || c.result != nil
}

// step calls core.Step with all inputs that have come since the last call. It then stores and
// publishes what core.Step returns, and lets the oracle check the published states.
func (c *coordinator) step() {
	now := c.clock.at(c.w.now)
	c.w.oracle.noteStep()
	c.perform()
	c.collect()
	out := c.core.Step(now, c.inputs)
	if out.Operation != nil {
		c.operation = out.Operation
	}
	c.perform()
	c.publish(out.Changes)
	c.w.oracle.checkTouched()
	for _, r := range c.w.readers {
		r.read(c.w)
	}
	for _, reply := range out.Replies {
		reply()
	}
	c.dropAnswered()
	c.sleep(out.Sleep)
}

func (c *coordinator) dropAnswered() {
	n := len(c.calls)
	c.calls = slices.DeleteFunc(c.calls, func(cl *call) bool { return cl.answered })
	c.called -= n - len(c.calls)
}

// perform carries out the store operation that the core has asked for. It does nothing while
// the store is stalled.
func (c *coordinator) perform() {
	if c.operation == nil || c.w.now < c.stalledUntil {
		return
	}
	c.result = &core.Result{}
	if b := c.operation.Batch; b != nil {
		c.result.Err = c.store.Commit(context.Background(), b)
	} else {
		c.result.Made, c.result.Err = c.load().LastBatch == c.operation.Lookup, nil
	}
	if c.result.Err != nil {
		c.w.fail("store", "%v", c.result.Err)
	}
	c.operation = nil
}

// collect sets c.inputs to everything that waits for the core: messages of followers and
// clients, the result of a store operation, and commands.
func (c *coordinator) collect() {
	clear(c.inputs)
	c.inputs, c.stepping, c.inbox, c.applied = c.inputs[:0], c.inbox, c.stepping[:0], 0
	for i := range c.stepping {
		c.inputs = append(c.inputs, c.input(&c.stepping[i]))
	}
	if c.result != nil {
		c.inputs = append(c.inputs, core.Input{Result: c.result})
		c.result = nil
	}
	for _, cl := range c.calls[c.called:] {
		c.inputs = append(c.inputs, core.Input{Command: &cl.Command, Reply: func() { c.answered(cl) }})
	}
	c.called = len(c.calls)
}

func (c *coordinator) input(m *message) core.Input {
	if reply := m.reply; reply != nil {
		r := &core.Renewal{ID: m.in.id, Lease: m.ev.Lease}
		return core.Input{Renewal: r, Reply: func() { reply(r) }}
	}
	input := core.Input{Event: m.ev}
	if m.waited {
		input.Since = c.clock.at(m.since)
	}
	return input
}

// Forgiven implements [core.Trace]. The core calls it when it has forgiven lateness.
func (c *coordinator) Forgiven(late time.Duration) {
	c.forgivenAt = c.w.now
	c.lates = append(c.lates[max(0, len(c.lates)+1-mostLates):], lateness{c.w.now, late})
	c.w.oracle.forgive(late)
}

// Applied implements [core.Trace]. The core calls it after the mesh has received the event ev.
// A nil ev means that time has passed, or that the coordinator's own status has changed.
func (c *coordinator) Applied(ev *mesh.Event, changes []health.Change) {
	if ev == nil {
		c.w.oracle.notePublished(changes)
		return
	}
	c.w.events++
	c.w.oracle.noteEvent(c.messageOf(ev), changes)
}

// messageOf returns the message from which the core has made an event. Commands, renewals and
// the content of the store also cause events. For these, messageOf makes a new message.
func (c *coordinator) messageOf(ev *mesh.Event) *message {
	m := message{ev: *ev}
	switch ev.Kind {
	case mesh.EventOverride:
		m.ev.ID = ev.Scope.ID()
	case mesh.EventLoad, mesh.EventRegister, mesh.EventDeregister, mesh.EventRenew:
	default:
		for ev != &c.inputs[c.applied].Event {
			c.applied++
		}
		sent := &c.stepping[c.applied]
		sent.ev.Late = ev.Late
		return sent
	}
	m.in = c.w.named[m.ev.ID.String()]
	return &m
}

// publish passes changes to the feed. It starts a follower for each new registration, and ends
// the followers of removed instances.
func (c *coordinator) publish(changes []health.Change) {
	c.feed.Publish(changes)
	for i := range changes {
		c.updateFollower(&changes[i])
	}
}

// updateFollower starts or ends the follower of the instance that has changed, if the change
// requires it.
func (c *coordinator) updateFollower(ch *health.Change) {
	if ch.Spec == nil {
		return
	}
	in := c.w.named[ch.ID.String()]
	switch f := &in.follower; {
	case ch.Removed || ch.Pushed:
		c.w.followers.unfollow(in)
	case f.followed != ch.Spec.Lease:
		c.w.followers.follow(in, ch.Spec.Lease, lag)
	}
	in.named = ch.Named
}

// sleep plans the next call of core.Step after the duration d. The call comes earlier if inputs
// are ready, or if the store has an operation to carry out.
func (c *coordinator) sleep(d time.Duration) {
	c.due = c.w.now + d
	c.wakeAt = c.due
	if c.hasInputs() {
		c.wakeAt = min(c.wakeAt, c.w.now+lag)
	}
	if c.operation != nil {
		c.wakeAt = min(c.wakeAt, c.stalledUntil)
	}
}

// crash ends the coordinator, which starts again after the duration d. Only the content of its store
// remains. Clients repeat the registrations that had no reply.
func (c *coordinator) crash(d time.Duration) {
	if !c.up {
		return
	}
	c.up, c.upAt, c.pausedUntil, c.inbox, c.lates = false, c.w.now+d, 0, nil, nil
	for _, in := range c.w.all {
		c.w.followers.unfollow(in)
		in.pushing = false
	}
	lost := c.calls
	c.calls, c.called, c.operation, c.result = nil, 0, nil, nil
	for _, cl := range lost {
		c.w.repeat(cl)
	}
}

// start starts the coordinator with the content of the store.
func (c *coordinator) start() {
	w, now := c.w, c.clock.at(c.w.now)
	c.up, c.epoch = true, mix(w.setup.Seed+c.epoch)
	c.core = core.New(core.Config{
		Policy: w.setup.Policy, Epoch: c.epoch, StoreTrust: storeTrust, MaxInstances: len(w.all), QueueBytes: queueBytes,
		NewLease: func() uint64 { w.leases++; return w.leases }, Trace: c,
	}, now)
	c.feed = feed.New(c.epoch, w.setup.LogBytes)
	w.oracle.noteRestart()
	c.startedAt = w.oracle.stamp()
	state := c.load()
	changes, skipped := c.core.Load(now, &state)
	for _, err := range skipped {
		w.fail("store", "%v", err)
	}
	for i := range state.Registrations {
		in := w.named[state.Registrations[i].ID.String()]
		w.followers.follow(in, state.Registrations[i].Lease, lag+in.noise(time.Second))
	}
	w.oracle.checkRemembered()
	c.publish(changes)
	c.step()
}

// load returns the content of the store, sorted, so that a script always plays in the same
// way.
func (c *coordinator) load() store.State {
	state, err := c.store.Load(context.Background())
	if err != nil {
		c.w.fail("store", "%v", err)
	}
	slices.SortFunc(state.Registrations, func(a, b store.Registration) int { return a.ID.Compare(b.ID) })
	slices.SortFunc(state.Overrides, func(a, b store.Override) int { return strings.Compare(a.Scope, b.Scope) })
	return state
}
