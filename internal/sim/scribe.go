package sim

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
)

// command is what is durable before it is answered.
type command struct {
	in         *instance
	register   bool
	process    uint64 // who calls
	deregister bool
	lease      uint64
	override   *health.Override // or an end of it, if none of the others
}

// scribe keeps records, as that of a registry does.
type scribe struct {
	store        *store.Memory
	stalledUntil time.Duration
	commands     []command
	answers      []command // committed, not yet acknowledged
	committed    map[health.ID]*health.Spec
	batch        store.Batch
	statuses     map[health.ID]store.Status
	aliveAt      time.Duration
}

func newScribe() scribe {
	return scribe{store: store.NewMemory(100), statuses: map[health.ID]store.Status{}, committed: map[health.ID]*health.Spec{}, aliveAt: -aliveEvery}
}

// call is a command that reaches us.
func (c *coordinator) call(cmd command) {
	if !c.up {
		c.w.abandoned(&cmd)
		return
	}
	c.commands = append(c.commands, cmd)
	c.wakeAt = min(c.wakeAt, c.w.now+lag)
}

func (c *coordinator) waiting() bool { return len(c.commands) > 0 && c.w.now >= c.stalledUntil }

// commit makes what waits durable, and events of it.
func (c *coordinator) commit() {
	if c.w.now < c.stalledUntil {
		return
	}
	for i := range c.commands {
		if c.draft(&c.commands[i]) {
			c.answers = append(c.answers, c.commands[i])
		}
	}
	c.commands = nil
	for _, s := range c.statuses {
		c.batch.PutStatuses = append(c.batch.PutStatuses, s)
	}
	clear(c.statuses)
	if c.w.now-c.aliveAt >= aliveEvery {
		c.batch.AliveAt, c.aliveAt = c.clock.at(c.w.now).Round(0), c.w.now
	}
	if err := c.store.Commit(context.Background(), &c.batch); err != nil {
		c.w.fail("store", "%v", err)
	}
	c.batch = store.Batch{
		PutStatuses: c.batch.PutStatuses[:0], PutRegistrations: c.batch.PutRegistrations[:0], Transitions: c.batch.Transitions[:0],
	}
}

// draft adds a command to the batch, and its event to the inbox, or refuses it.
func (c *coordinator) draft(cmd *command) bool {
	in, b := cmd.in, &c.batch
	ev := health.Event{ID: in.id, Lease: cmd.lease}
	switch held := c.committed[in.id]; {
	case cmd.register:
		incarnation := strconv.FormatUint(cmd.process, 10)
		if held == nil || held.Incarnation != incarnation {
			in.leases++
			held = specOf(in, in.key<<16|in.leases, incarnation)
			c.committed[in.id] = held
			b.PutRegistrations = append(b.PutRegistrations, recordOf(in, held))
		}
		cmd.lease = held.Lease
		ev.Kind, ev.Lease, ev.Spec = health.EventRegister, held.Lease, held
	case held == nil, cmd.deregister && held.Lease != cmd.lease && !in.service.Static:
		return false
	case cmd.deregister:
		ev.Kind, ev.Lease = health.EventDeregister, held.Lease
		b.DeleteRegistrations = append(b.DeleteRegistrations, in.id)
		b.PutRegistrations = slices.DeleteFunc(b.PutRegistrations, func(r store.Registration) bool { return r.ID == in.id })
		b.PutOverrides = slices.DeleteFunc(b.PutOverrides, func(o store.Override) bool { return o.ID == in.id })
		delete(c.committed, in.id)
		delete(c.statuses, in.id)
	case cmd.override == nil:
		b.DeleteOverrides = append(b.DeleteOverrides, in.id)
	default:
		o := cmd.override
		b.PutOverrides = append(b.PutOverrides, store.Override{ID: in.id, Status: o.Status, Reason: o.Reason, SetAt: o.SetAt, ExpiresAt: o.ExpiresAt})
	}
	ev.Override = cmd.override
	c.inbox = append(c.inbox, message{in: in, ev: ev, override: ev.Kind == 0})
	return true
}

// acknowledge answers what was committed and published.
func (c *coordinator) acknowledge() {
	for _, cmd := range c.answers {
		if cmd.register && cmd.process == cmd.in.incarnation {
			c.w.registered(cmd.in, cmd.lease)
		}
		c.w.oracle.acknowledged(&cmd)
	}
	c.answers = nil
}

// lose forgets what was not committed.
func (c *coordinator) lose(w *world) {
	lost := c.commands
	c.commands, c.answers, c.batch = nil, nil, store.Batch{}
	clear(c.statuses)
	clear(c.committed)
	clear(c.changes)
	c.changes = c.changes[:0]
	for i := range lost {
		w.abandoned(&lost[i])
	}
}

// abandoned is a call that was never answered: it is made again.
func (w *world) abandoned(cmd *command) {
	if cmd.register && cmd.in.up && cmd.process == cmd.in.incarnation {
		w.plan(cmd.in, taskRegister, cmd.in.process.gen, retryCall)
	}
}

// record takes what was published.
func (c *coordinator) record(changes []health.Change) {
	for i := range changes {
		ch := &changes[i]
		switch {
		case ch.Spec == nil:
		case ch.Removed:
			delete(c.statuses, ch.ID)
			if held := c.committed[ch.ID]; held != nil && held.Lease == ch.Spec.Lease {
				c.batch.DeleteRegistrations = append(c.batch.DeleteRegistrations, ch.ID)
				delete(c.committed, ch.ID)
			}
		default:
			st := store.Status{ID: ch.ID, Status: ch.Judged, Since: ch.Since, Proven: ch.Proven}
			if ch.Override == nil {
				st.Cause, st.Reason = ch.Cause, ch.Reason
			}
			c.statuses[ch.ID] = st
		}
	}
}

func (c *coordinator) load() store.State {
	state, err := c.store.Load(context.Background())
	if err != nil {
		c.w.fail("store", "%v", err)
	}
	return state
}

func specOf(in *instance, lease uint64, incarnation string) *health.Spec {
	s := &health.Spec{Address: in.id.Instance, Zone: in.zone, Incarnation: incarnation, Lease: lease, Static: in.service.Static}
	if !s.Static {
		s.TTL = ttl
	}
	return s
}

func recordOf(in *instance, s *health.Spec) store.Registration {
	return store.Registration{
		ID: in.id, Address: s.Address, Zone: s.Zone, Incarnation: s.Incarnation, Static: s.Static, TTL: s.TTL, Lease: s.Lease,
	}
}

// loaded is what the store knows of an instance.
func loaded(state *store.State, id health.ID, now time.Time, trusted bool) *health.Loaded {
	l := &health.Loaded{Status: health.Starting, Since: now, Trusted: trusted}
	for i := range state.Statuses {
		if s := &state.Statuses[i]; s.ID == id {
			l.Status, l.Cause, l.Reason, l.Since, l.Proven = s.Status, s.Cause, s.Reason, s.Since, s.Proven
		}
	}
	return l
}

// forcedBefore is the override the store has of an instance, nil if none.
func forcedBefore(state *store.State, id health.ID) *health.Override {
	for i := range state.Overrides {
		if o := &state.Overrides[i]; o.ID == id {
			return &health.Override{Status: o.Status, Reason: o.Reason, SetAt: o.SetAt, ExpiresAt: o.ExpiresAt}
		}
	}
	return nil
}
