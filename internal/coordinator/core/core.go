package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Config has the settings of a Core. Every field except Trace is required.
type Config struct {
	Policy health.MeshPolicy
	// Epoch is a random number that identifies this start of the coordinator.
	Epoch uint64
	// StoreTrust limits the age of the last commit when the coordinator starts. If the last commit
	// is older, the mesh does not trust the stored statuses.
	StoreTrust time.Duration
	// MaxInstances is the largest number of registered instances.
	MaxInstances int
	// QueueBytes is the largest total size, in bytes, of the transitions that wait for
	// the store.
	QueueBytes int
	// NewLease returns the number of a new lease. It must never return a number twice.
	NewLease func() uint64
	// Trace observes each Step. nil means that there is no observer.
	Trace Trace
}

// Trace is an observer that tests use to see what happens inside a Step.
type Trace interface {
	// Forgiven is called in a Step that came late, after every deadline was moved. late is how
	// late the Step came, and by how much the deadlines were moved.
	Forgiven(late time.Duration)
	// Applied is called with changes and the event that caused them. ev is nil if the cause is no
	// event, but a deadline, new policies, stored overrides or the status of the coordinator
	// itself.
	Applied(ev *mesh.Event, changes []health.Change)
}

// Core holds the state of a registry and decides what the registry does. The package comment
// describes one Step.
type Core struct {
	cfg     Config
	mesh    *mesh.Mesh
	clock   lateness
	pending pending
	queue   commandQueue
	stored
	commits
	trouble string // latest Input.Trouble; empty if there is none

	changes []health.Change // changes that the present call of Step returns in its Output
	replies []func()        // functions that the present call of Step returns in Output.Replies
	renewal mesh.Event      // event of the present renewal; it is a field, so that a renewal allocates no memory for it
}

// Input is one thing that has happened. Exactly one of Event, Renewal, Query,
// Retune, Trouble, Command and Result is set.
type Input struct {
	// Event is evidence for the mesh. If its Kind is 0, Event is not set.
	Event mesh.Event
	// Since is the time at which a wait for an answer began, if Event says that no answer came. For
	// other events, Since is zero. The core subtracts the time in which it was late itself from
	// this wait.
	Since time.Time

	Renewal *Renewal
	// Query is a function that reads the mesh. It must not keep the pointer to the mesh.
	Query func(*mesh.Mesh)
	// Retune replaces all service policies. The key of the map is the name of a service.
	Retune map[string]health.ServicePolicy
	// Trouble is a reason outside the store for which the coordinator itself is DEGRADED. It replaces
	// the reason of an earlier Trouble. An empty text ends it.
	Trouble *string
	Command *Command
	// Result is the result of the operation that an earlier Step has returned.
	Result *Result

	// Reply is returned in Output.Replies after the input was applied. The Reply of a command
	// is returned after the command has become durable, or was refused. nil means that no
	// caller waits.
	Reply func()
}

// Renewal is a request to renew a lease. TTL, Unreachable and Err are the answer.
type Renewal struct {
	ID    health.ID
	Lease uint64
	By    wire.Registrant

	// TTL is how long the lease lasts from now.
	TTL time.Duration
	// Unreachable is true if the coordinator cannot reach the instance. The instance should
	// then push its status.
	Unreachable bool
	// Err says why the lease was not renewed. It wraps domain.ErrLeaseUnknown,
	// domain.ErrSuperseded or domain.ErrNotAllowed.
	Err error
}

// Output says what the caller of Step must do. Its slices are valid until the next
// Step.
type Output struct {
	// Operation is the operation that the caller must start on the store; nil means none.
	// The caller passes its Result to a later Step.
	Operation *Operation
	// Changes are the changes that the caller must publish, in this order, before it
	// calls the functions in Replies.
	Changes []health.Change
	Replies []func()
	// Sleep is the longest time that the caller may wait before it calls Step again.
	Sleep time.Duration
	// Late is how late this Step came. Every deadline was moved by this duration. 0 means that
	// the Step came in time.
	Late time.Duration
	// Waiting is the number of transitions that wait for the store.
	Waiting int
	// Lost is the number of transitions that were dropped since the start, because too many
	// waited for the store.
	Lost  uint64
	Stats Stats
}

// Stats describes the coordinator itself.
type Stats struct {
	// Score says how badly the coordinator itself works: 0 is the best value and 7 the worst.
	// See [mesh.Mesh.Score].
	Score int
	// Guards are the mass-failure guards that are tripped.
	Guards []mesh.Guard
	// AmnestyEnd is the time at which the amnesty after the start ends. It is zero if it has ended.
	AmnestyEnd time.Time
	// Overrides is the number of overrides that are set.
	Overrides int
	// StoreError says why the last commit has failed, or that an operation takes longer than
	// SlowCommit. It is empty while the store works.
	StoreError string
}

// Equal reports whether all fields of s and other are equal.
func (s *Stats) Equal(other *Stats) bool {
	return s.Score == other.Score && s.Overrides == other.Overrides && s.StoreError == other.StoreError &&
		s.AmnestyEnd.Equal(other.AmnestyEnd) && slices.Equal(s.Guards, other.Guards)
}

// New returns a core without instances.
func New(cfg Config, now time.Time) *Core {
	return &Core{
		cfg: cfg, mesh: mesh.New(cfg.Policy, cfg.Epoch, now), pending: newPending(cfg.QueueBytes),
		stored: newStored(), commits: commits{health: storeWell},
	}
}

// Load restores the state of a store. It must be called before the first Step. It returns the
// changes to publish, and an error for each override that was not restored. If the last commit is
// older than StoreTrust, the mesh does not trust the stored statuses. In this case, Load queues the
// new statuses for the store. Otherwise the next start would trust the old ones.
func (c *Core) Load(now time.Time, state *store.State) (changes []health.Change, skipped []error) {
	c.lastBatch = state.LastBatch
	age := now.Round(0).Sub(state.AliveAt) // Round removes the monotonic clock reading of now, because AliveAt has none
	trusted := age >= 0 && age <= c.cfg.StoreTrust
	statuses := map[health.ID]*store.Status{}
	for i := range state.Statuses {
		statuses[state.Statuses[i].ID] = &state.Statuses[i]
	}
	for i := range state.Registrations {
		reg := &state.Registrations[i]
		c.setRegistration(reg.ID, reg)
		c.apply(now, &mesh.Event{
			Kind: mesh.EventLoad, ID: reg.ID, Lease: reg.Lease, Spec: specOf(reg),
			Loaded: loadedStatus(statuses[reg.ID], reg, now, trusted),
		})
	}
	if !trusted {
		c.pending.addChanges(c.changes)
	}
	skipped = c.loadOverrides(now, state.Overrides)
	c.publishSelf(now)
	changes, c.changes = c.changes, nil
	return changes, skipped
}

func (c *Core) loadOverrides(now time.Time, held []store.Override) (skipped []error) {
	var overrides []health.Override
	for i := range held {
		o, err := overrideOf(&held[i])
		if err != nil {
			skipped = append(skipped, fmt.Errorf("the stored override %q matches no instance: %w", held[i].Scope, err))
			continue
		}
		c.overrides[o.Scope] = o
		overrides = append(overrides, *o)
		c.trace(&mesh.Event{Kind: mesh.EventOverride, Scope: o.Scope, Override: o}, len(c.changes))
	}
	from := len(c.changes)
	c.changes = c.mesh.LoadOverrides(c.changes, now, overrides)
	c.trace(nil, from)
	c.pending.addEnded(c.mesh.TakeEndedOverrides())
	return skipped
}

// Step applies the inputs at the time now. The Output says what the caller must do. now must not be
// earlier than in the previous call.
func (c *Core) Step(now time.Time, inputs []Input) Output {
	clear(c.changes)
	clear(c.replies)
	c.changes, c.replies, c.operation = c.changes[:0], c.replies[:0], nil
	late := c.forgive(now)
	for i := range inputs {
		c.handleInput(now, &inputs[i])
	}
	c.writeIfDue(now)
	if !c.stopping {
		c.tick(now)
	}
	c.pending.addChanges(c.changes)
	c.pending.addEnded(c.mesh.TakeEndedOverrides())
	c.gather(now)
	return Output{
		Operation: c.operation, Changes: c.changes, Replies: c.replies, Sleep: c.sleep(now), Late: late,
		Waiting: len(c.pending.transitions), Lost: c.pending.lostEver, Stats: c.stats(now),
	}
}

// Stop makes the next Step write all waiting commands and records at once. After Stop, a Step
// handles only commands and results of the store. It drops all evidence and handles no deadline of
// the mesh.
func (c *Core) Stop() { c.stopping = true }

// Stopped reports whether the final write after Stop has ended, with success or an error.
func (c *Core) Stopped() bool { return c.lastBegun && !c.running }

// Mesh returns the mesh, which the caller may read between two Steps and must not change.
func (c *Core) Mesh() *mesh.Mesh { return c.mesh }

// forgive moves every deadline by the lateness of this Step, and returns the lateness. It must run
// before the inputs are applied. Otherwise a deadline could pass although the evidence that it
// waits for came in time.
func (c *Core) forgive(now time.Time) time.Duration {
	late := c.clock.noteWake(now)
	if late > 0 {
		if c.cfg.Trace != nil {
			c.cfg.Trace.Forgiven(late)
		}
		c.mesh.Forgive(late)
	}
	return late
}

func (c *Core) handleInput(now time.Time, in *Input) {
	switch {
	case in.Result != nil:
		c.handleResult(now, in.Result)
	case in.Command != nil:
		c.handleCommand(now, in.Command, in.Reply)
		return
	case c.stopping:
		return
	case in.Renewal != nil:
		c.renew(now, in.Renewal)
	case in.Query != nil:
		in.Query(c.mesh)
	case in.Retune != nil:
		from := len(c.changes)
		c.changes = c.mesh.Retune(c.changes, now, in.Retune)
		c.trace(nil, from)
	case in.Trouble != nil:
		c.trouble = wire.Clean(*in.Trouble) // tick publishes it
	default:
		in.Event.Late = max(in.Event.Late, c.clock.Part(in.Since))
		c.apply(now, &in.Event)
	}
	c.reply(in.Reply)
}

func (c *Core) handleCommand(now time.Time, cmd *Command, reply func()) {
	cmd.reply = reply
	if d := cmd.Deregister; d != nil && d.Lease == 0 {
		d.notRenewed = c.leaseNotRenewed(now, d.ID)
	}
	if cmd.Err = c.queue.add(cmd); cmd.Err != nil {
		c.reply(reply)
	}
}

// leaseNotRenewed returns the lease of an instance whose process has stopped renewing it. It
// returns 0 if the process renews the lease, or if the instance has no lease.
func (c *Core) leaseNotRenewed(now time.Time, id health.ID) uint64 {
	if s, ok := c.mesh.State(id); ok && s.Spec != nil && !c.mesh.KeepsLease(id, now) {
		return s.Spec.Lease
	}
	return 0
}

func (c *Core) renew(now time.Time, r *Renewal) {
	s, ok := c.mesh.State(r.ID)
	switch {
	case !ok || s.Spec == nil || s.Spec.Static:
		r.Err = fmt.Errorf("%s: %w", r.ID, domain.ErrLeaseUnknown)
		return
	case s.Spec.Lease != r.Lease:
		r.Err = fmt.Errorf("%s: %w", r.ID, domain.ErrSuperseded)
		return
	}
	if r.Err = checkOwner(r.ID, s.Spec.Registrant, &r.By); r.Err != nil {
		return
	}
	c.renewal = mesh.Event{Kind: mesh.EventRenew, ID: r.ID, Lease: r.Lease}
	c.apply(now, &c.renewal)
	r.TTL, r.Unreachable = s.Spec.TTL, s.Unreachable
}

// apply gives the mesh one event, and adds the resulting changes to the changes of this Step.
func (c *Core) apply(now time.Time, ev *mesh.Event) {
	from := len(c.changes)
	c.changes = c.mesh.Apply(c.changes, now, ev)
	c.trace(ev, from)
}

// tick makes the mesh handle the deadlines that have passed. It must run after all inputs of
// the Step were applied, so that evidence wins against a deadline at the same time.
func (c *Core) tick(now time.Time) {
	from := len(c.changes)
	c.changes = c.mesh.Tick(c.changes, now)
	c.trace(nil, from)
	c.publishSelf(now)
}

// publishSelf adds the state of the coordinator itself to the changes of this Step.
func (c *Core) publishSelf(now time.Time) {
	from, self := len(c.changes), c.selfAt(now)
	c.changes = c.mesh.PublishSelf(c.changes, self.status, self.cause, self.reason)
	c.trace(nil, from)
}

// selfAt returns the health of the coordinator itself. Its reason has that of the store, and the trouble
// outside the store.
func (c *Core) selfAt(now time.Time) storeHealth {
	s := c.healthAt(now)
	switch {
	case c.trouble == "":
		return s
	case s.reason == "":
		return storeHealth{health.Degraded, health.CauseFailed, c.trouble}
	}
	s.reason = wire.Clean(s.reason + "; " + c.trouble)
	return s
}

func (c *Core) trace(ev *mesh.Event, from int) {
	if c.cfg.Trace != nil {
		c.cfg.Trace.Applied(ev, c.changes[from:])
	}
}

func (c *Core) reply(f func()) {
	if f != nil {
		c.replies = append(c.replies, f)
	}
}

// sleep returns how long the caller may wait before the next Step. A Step counts as late if it
// comes after a deadline of the mesh or after MaxSleep. A late commit does not count, because it
// harms no instance.
func (c *Core) sleep(now time.Time) time.Duration {
	deadline, _ := c.mesh.Deadline()
	sleep := c.clock.armUntil(now, deadline)
	if !c.running {
		sleep = min(sleep, max(0, c.next.Sub(now)))
	}
	return sleep
}

func (c *Core) stats(now time.Time) Stats {
	overview := c.mesh.Overview()
	return Stats{
		Score: c.mesh.Score(), Guards: c.mesh.Guards(), AmnestyEnd: overview.AmnestyEnd, Overrides: overview.Overrides,
		StoreError: c.healthAt(now).reason,
	}
}
