package core

import (
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// RetryStore is the time between a failed commit and the next commit, unless a
	// command arrives earlier.
	RetryStore = 1 * time.Second
	// Gather is the time for which new records wait for further records before all of
	// them are committed. This saves commits, each of which waits for the disk.
	Gather = 50 * time.Millisecond
	// SlowCommit is the longest time that a store operation may take. If an operation takes
	// longer, the coordinator publishes that it is DEGRADED.
	SlowCommit = 2 * time.Second
	// aliveEvery is the longest time between two commits while the store works. Each
	// commit records that the coordinator runs.
	aliveEvery = time.Minute
)

// Operation is a request of the core to the store. If Batch is set, the store must
// commit it. Otherwise the store must say whether its last batch has the ID Lookup.
type Operation struct {
	Batch  *store.Batch
	Lookup uint64
}

// Result is the outcome of an Operation.
type Result struct {
	Err error
	// Made is true if the last batch of the store has the ID Operation.Lookup. It has a
	// meaning only if the operation had no batch and Err is nil.
	Made bool
}

// commits holds the state of the commits. At most one store operation is in progress.
type commits struct {
	operation *Operation // operation that this Step will return in its Output; nil if there is none
	running   bool       // an operation was returned by a Step, and its Result has not arrived
	began     time.Time  // time at which the operation in progress was started
	attempt   *attempt   // commit in progress, or the indeterminate commit; nil if there is neither
	next      time.Time  // time of the next commit if no command arrives before it
	gathering bool       // next is the end of a Gather wait for further records
	lastBatch uint64     // ID of the last batch, whether it was committed or not
	triedAt   time.Time  // time at which the last commit was started
	aliveAt   time.Time  // time at which the last successful commit ended
	failing   bool       // the last commit failed
	health    storeHealth
	stopping  bool
	last      bool // the final write, after Stop, has begun
}

// storeHealth is the status that the coordinator publishes for itself because of its
// store.
type storeHealth struct {
	status health.Status
	cause  health.Cause
	reason string
}

var storeWell = storeHealth{status: health.Serving, cause: health.CauseOK}

// startOperation sets the operation that this Step returns in its Output.
func (s *commits) startOperation(now time.Time, op Operation) {
	s.operation, s.running, s.began = &op, true, now
}

// report records the result of a commit: err is nil if the commit succeeded.
func (s *commits) report(err error) {
	s.failing, s.health = err != nil, storeWell
	if err != nil {
		s.health = storeHealth{health.Degraded, health.CauseFailed, wire.Clean("store: " + err.Error())}
	}
}

// healthAt returns the health to publish at now. The reason names when a slow commit
// began and not how old it is. So the reason does not change every second.
func (s *commits) healthAt(now time.Time) storeHealth {
	if !s.running || now.Sub(s.began) <= SlowCommit {
		return s.health
	}
	return storeHealth{
		health.Degraded, health.CauseFailed,
		"store: a commit that began at " + s.began.UTC().Format(time.RFC3339) + " has not ended",
	}
}

// identify sets the ID of the batch, which no earlier batch had, and its AliveAt. A later
// lookup of this ID in the store shows whether the batch was committed.
func (s *commits) identify(b *store.Batch, now time.Time) {
	s.lastBatch++
	b.ID, b.AliveAt = s.lastBatch, now.Round(0)
}

// mustWrite reports whether even a batch without records must be committed. Such a
// commit records that the coordinator runs, or shows whether the store works again.
func (s *commits) mustWrite(now time.Time) bool {
	return s.failing && now.Sub(s.triedAt) >= RetryStore || now.Sub(s.aliveAt) >= aliveEvery
}

// writeDue reports whether the waiting commands and records must be written now.
func (c *Core) writeDue(now time.Time) bool {
	switch {
	case c.running:
		return false
	case c.stopping:
		return !c.last
	}
	return len(c.queue.commands) > 0 || !now.Before(c.next)
}

// writeIfDue starts a write if one is due. If a commit is indeterminate, it starts a
// lookup of that commit instead.
func (c *Core) writeIfDue(now time.Time) {
	if !c.writeDue(now) {
		return
	}
	c.last = c.stopping
	if a := c.attempt; a != nil {
		c.startOperation(now, Operation{Lookup: a.batch.ID})
		return
	}
	c.write(now)
}

// write starts the commit of all waiting commands and records. If they change no record
// and mustWrite is false, it answers the commands without a commit.
func (c *Core) write(now time.Time) {
	a := c.newAttempt(now)
	if a.changesNothing() && !c.mustWrite(now) {
		c.finish(now, a)
		return
	}
	c.identify(a.batch, now)
	c.attempt, c.triedAt = a, now
	c.startOperation(now, Operation{Batch: a.batch})
}

// handleResult handles the result of a store operation. After a failed commit it starts
// a lookup, which shows whether the store made the commit all the same.
func (c *Core) handleResult(now time.Time, r *Result) {
	a := c.attempt
	c.running = false
	switch {
	case a.cause != nil:
		c.handleLookup(now, a, r)
	case r.Err != nil:
		c.report(r.Err)
		a.cause = r.Err
		c.startOperation(now, Operation{Lookup: a.batch.ID})
	default:
		c.report(nil)
		c.attempt, c.aliveAt = nil, now
		c.finish(now, a)
	}
}

// handleLookup handles the result of a lookup that asked whether the store made the
// commit of a.
func (c *Core) handleLookup(now time.Time, a *attempt, r *Result) {
	switch {
	case r.Err != nil && a.answered:
		c.postpone(now, c.newAttempt(now), r.Err)
	case r.Err != nil:
		c.leaveIndeterminate(now, a)
	case a.answered:
		c.attempt = nil
		c.settleIndeterminate(now, a, r.Made)
		c.write(now)
	case r.Made:
		c.attempt = nil
		c.finish(now, a)
	default:
		c.attempt = nil
		c.postpone(now, a, a.cause)
	}
}

// finish adopts a batch that was committed, or that needs no commit. Then it answers the
// commands.
func (c *Core) finish(now time.Time, a *attempt) {
	c.adopt(a)
	clear(c.unsaved) // the draft contained all unsaved changes
	c.answer(now, a)
	c.schedule(now)
}

func (c *Core) adopt(a *attempt) {
	c.adoptRegistrations(a.draft.registrations)
	c.adoptOverrides(a.draft.overrides)
}

// postpone returns the records of a batch that was not committed to the pending records.
// It refuses the commands that need the batch, and answers all commands.
func (c *Core) postpone(now time.Time, a *attempt, cause error) {
	c.pending.returnRecords(&a.records)
	a.refuse(cause, c.attempt)
	c.keepUnsaved(a.configuredChanges())
	c.answer(now, a)
	c.schedule(now)
}

// leaveIndeterminate answers the commands of a failed commit when the lookup has failed
// too, so that the outcome is not known. It refuses the commands that need the batch.
func (c *Core) leaveIndeterminate(now time.Time, a *attempt) {
	a.refused = a.refuse(a.cause, nil)
	a.unsaved = a.configuredChanges()
	c.keepUnsaved(a.unsaved)
	c.answer(now, a)
	a.answered, a.commands = true, nil
	c.schedule(now)
}

// settleIndeterminate adapts the memory of the core to the store after a successful
// lookup. made is true if the store made the commit. Its commands stay refused.
func (c *Core) settleIndeterminate(now time.Time, a *attempt, made bool) {
	if !made {
		c.pending.returnRecords(&a.records)
		return
	}
	c.adopt(a)
	c.dropUnsaved(a.unsaved)
	c.applyAll(now, a.refused)
}

// answer applies to the mesh the events of the draft, and of each command that
// succeeded. It queues the replies to all commands. The caller of Step sends the replies
// after it has published the resulting changes.
func (c *Core) answer(now time.Time, a *attempt) {
	c.applyAll(now, a.draft.events)
	for _, cmd := range a.commands {
		if cmd.Err == nil {
			c.applyAll(now, cmd.events)
		}
		c.reply(cmd.reply)
	}
}

func (c *Core) applyAll(now time.Time, events []mesh.Event) {
	for i := range events {
		c.apply(now, &events[i])
	}
}

// schedule sets the time of the next write when a write has ended.
func (c *Core) schedule(now time.Time) {
	c.gathering = false
	c.next = now.Add(RetryStore)
	if !c.failing {
		c.next = c.aliveAt.Add(aliveEvery)
	}
}

// gather plans a write Gather from now if new records wait. While the store fails, the
// records wait for the next attempt, which writes all of them.
func (c *Core) gather(now time.Time) {
	if c.running || !c.pending.noticed() || c.gathering || c.failing {
		return
	}
	c.gathering, c.next = true, now.Add(Gather)
}
