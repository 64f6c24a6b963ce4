package core

import (
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// RetryStore is the time between a failed commit and the next commit. A command that arrives
	// within this time starts the next commit at once.
	RetryStore = 1 * time.Second
	// Gather is how long new records wait for further records before one commit writes all of
	// them. This saves commits, each of which waits for the disk.
	Gather = 50 * time.Millisecond
	// SlowCommit is the longest time that a store operation may take. If an operation takes
	// longer, the coordinator publishes that it is DEGRADED.
	SlowCommit = 2 * time.Second
	// aliveEvery is the longest time between two commits while the store works. Each commit stores
	// its time. At the next start, this time shows how long the coordinator did not run.
	aliveEvery = time.Minute
)

// Operation is a request of the core to the store. If Batch is set, the store must commit it.
// Otherwise the operation is a lookup: the store must say whether its last batch has the ID in the
// field Lookup.
type Operation struct {
	Batch  *store.Batch
	Lookup uint64
}

// Result is the outcome of an Operation.
type Result struct {
	// Err is the error of the operation. After an error of a commit, the batch may be in the store
	// nevertheless.
	Err error
	// Made is the answer to a lookup. It is true if the ID of the last batch in the store equals
	// Operation.Lookup. It has no meaning if the operation was a commit, or if Err is set.
	Made bool
}

// commits holds the state of the commits and lookups. A lookup asks the store whether it holds a
// batch. At most one commit or lookup is in progress.
type commits struct {
	operation *Operation  // operation that the present call of Step returns; nil if there is none
	running   bool        // true while a store operation is in progress
	began     time.Time   // start of the store operation that is in progress
	attempt   *attempt    // commit that is in progress or indeterminate; nil if there is none
	next      time.Time   // time of the next commit if no command arrives earlier
	gathering bool        // true if a commit is planned because there are new records
	lastBatch uint64      // ID of the latest batch, whether its commit has succeeded or not
	triedAt   time.Time   // start of the latest commit
	aliveAt   time.Time   // end of the latest commit that succeeded
	failing   bool        // true if the latest commit has failed
	health    storeHealth // health of the store after the latest commit
	stopping  bool        // true after Stop was called
	lastBegun bool        // true after the final write has begun; Stop causes the final write
}

// storeHealth is the status, cause and reason that the coordinator itself has because of its store.
type storeHealth struct {
	status health.Status
	cause  health.Cause
	reason string
}

var storeWell = storeHealth{status: health.Serving, cause: health.CauseOK}

// startOperation sets the operation that the present call of Step returns in its Output.
func (s *commits) startOperation(now time.Time, op Operation) {
	s.operation, s.running, s.began = &op, true, now
}

// report records the result of a commit. err is nil if the commit succeeded.
func (s *commits) report(err error) {
	s.failing, s.health = err != nil, storeWell
	if err != nil {
		s.health = storeHealth{health.Degraded, health.CauseFailed, wire.Clean("store: " + err.Error())}
	}
}

// healthAt returns the storeHealth at the time now. The reason for a slow commit
// contains the time at which the commit began, and not its duration. So the reason does not change
// every second.
func (s *commits) healthAt(now time.Time) storeHealth {
	if !s.running || now.Sub(s.began) <= SlowCommit {
		return s.health
	}
	return storeHealth{
		health.Degraded, health.CauseFailed,
		"store: a commit that began at " + s.began.UTC().Format(time.RFC3339) + " has not ended",
	}
}

// identify sets two fields of the batch: AliveAt becomes now, and ID a number that no earlier batch
// had. So a lookup of the ID shows whether the batch is in the store.
func (s *commits) identify(b *store.Batch, now time.Time) {
	s.lastBatch++
	b.ID, b.AliveAt = s.lastBatch, now.Round(0)
}

// mustWrite reports whether the core must commit even a batch without records. Such a commit
// stores that the coordinator runs, or shows whether the store works again.
func (s *commits) mustWrite(now time.Time) bool {
	return s.failing && now.Sub(s.triedAt) >= RetryStore || now.Sub(s.aliveAt) >= aliveEvery
}

// writeDue reports whether a commit or a lookup must begin now.
func (c *Core) writeDue(now time.Time) bool {
	switch {
	case c.running:
		return false
	case c.stopping:
		return !c.lastBegun
	}
	return len(c.queue.commands) > 0 || !now.Before(c.next)
}

// writeIfDue starts a commit if writeDue returns true. If an earlier commit is indeterminate,
// it starts a lookup of the earlier commit instead.
func (c *Core) writeIfDue(now time.Time) {
	if !c.writeDue(now) {
		return
	}
	c.lastBegun = c.stopping
	if a := c.attempt; a != nil {
		c.startOperation(now, Operation{Lookup: a.batch.ID})
		return
	}
	c.write(now)
}

// write starts the commit of all waiting commands and records. If the batch would have no records
// and mustWrite returns false, write answers the commands without a commit.
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

// handleResult handles the result of a store operation. After a failed commit it starts a lookup,
// because the batch may be in the store although the commit returned an error.
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

// handleLookup handles the result of a lookup, which says whether the batch of the attempt a is in
// the store.
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

// finish ends an attempt whose batch was committed, or needs no commit. It updates the core's
// copy of the store and answers the commands.
func (c *Core) finish(now time.Time, a *attempt) {
	c.adopt(a)
	clear(c.unsaved) // the batch contained all unsaved changes
	c.answer(now, a)
	c.schedule(now)
}

func (c *Core) adopt(a *attempt) {
	c.adoptRegistrations(a.draft.registrations)
	c.adoptOverrides(a.draft.overrides)
}

// postpone ends an attempt whose batch was not committed. The records of this batch go into the
// next batch. Commands whose changes were in the batch are refused, except a configuration. All
// commands are answered.
func (c *Core) postpone(now time.Time, a *attempt, cause error) {
	c.pending.returnRecords(&a.records)
	a.refuse(cause, c.attempt)
	c.keepUnsaved(a.configuredChanges())
	c.answer(now, a)
	c.schedule(now)
}

// leaveIndeterminate answers the commands of a failed commit after its lookup has failed too. The
// outcome of the commit stays unknown, so the commands whose changes were in the batch are refused,
// except a configuration.
func (c *Core) leaveIndeterminate(now time.Time, a *attempt) {
	a.refused = a.refuse(a.cause, nil)
	a.unsaved = a.configuredChanges()
	c.keepUnsaved(a.unsaved)
	c.answer(now, a)
	a.answered, a.commands = true, nil
	c.schedule(now)
}

// settleIndeterminate ends an indeterminate commit after a lookup. If made is true, the batch is in
// the store. The core then applies the changes of the batch, although it has refused the commands.
// Otherwise the records go into the next batch.
func (c *Core) settleIndeterminate(now time.Time, a *attempt, made bool) {
	if !made {
		c.pending.returnRecords(&a.records)
		return
	}
	c.adopt(a)
	c.dropUnsaved(a.unsaved)
	c.applyAll(now, a.refused)
}

// answer gives the mesh its events: the events of the batch that belong to no command, and the
// events of each command that succeeded. It also adds the reply functions of all commands to the
// Output of this Step. The caller of Step publishes the changes before it calls these functions.
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

// schedule sets the time of the next commit after an attempt has ended.
func (c *Core) schedule(now time.Time) {
	c.gathering = false
	c.next = now.Add(RetryStore)
	if !c.failing {
		c.next = c.aliveAt.Add(aliveEvery)
	}
}

// gather plans a commit at now plus Gather if this Step has added records. It plans no commit while
// the store fails, because the next attempt writes all records.
func (c *Core) gather(now time.Time) {
	if c.running || !c.pending.checkNew() || c.gathering || c.failing {
		return
	}
	c.gathering, c.next = true, now.Add(Gather)
}
