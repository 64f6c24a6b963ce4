package core

import (
	"fmt"
	"maps"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
)

// attempt is one try to commit a batch, with the commands and the records in the batch. It exists
// until the core knows whether the batch is in the store.
type attempt struct {
	batch *store.Batch
	draft *draft
	// commands are the commands whose changes are in the batch. The slice is nil after the commands
	// were answered (see the field answered).
	commands []*Command
	records  records
	// cause is the error that the commit returned. It is nil if the commit has not failed.
	cause error
	// answered is true if the commit is indeterminate: the core does not know whether the batch is
	// in the store. The callers of all commands in the batch then already have their answers.
	answered bool
	// refused holds the events of the commands that were refused because the commit became
	// indeterminate. If a lookup shows that the store has the batch, the mesh gets these events.
	refused []mesh.Event
	// unsaved holds the configured registrations that an indeterminate commit changes, by name. A
	// change is unsaved until the store holds it. If a lookup shows that the store has the batch,
	// these changes are no longer unsaved.
	unsaved map[health.ID]*store.Registration
}

// newAttempt takes all commands and records that wait for the store, and makes a batch from them.
func (c *Core) newAttempt(now time.Time) *attempt {
	a := &attempt{
		batch: &store.Batch{}, draft: newDraft(now, &c.stored, &c.cfg),
		commands: c.queue.takeCommands(), records: c.pending.takeRecords(),
	}
	d, r := a.draft, &a.records
	d.deleteRemoved(r.removed)
	d.replaceExpired(r.expired)
	for _, cmd := range a.commands {
		cmd.Err = cmd.draft(d)
	}
	d.deleteEnded(r.ended)
	d.appendTo(a.batch)
	a.appendRecords(now)
	return a
}

// draft adds the changes of the command c to d, the draft of the next batch. If the command is
// refused, draft returns an error that says why.
func (c *Command) draft(d *draft) error {
	switch {
	case c.Deregister != nil:
		return c.deregister(d)
	case c.Override != nil:
		return c.changeOverride(d)
	case c.Configure != nil:
		return c.configure(d)
	}
	return c.register(d)
}

// appendRecords adds the waiting statuses and transitions to the batch. If transitions were
// dropped, a record with their number comes before the other transitions. The journal entries about
// overrides come last.
func (a *attempt) appendRecords(now time.Time) {
	b := a.batch
	for _, st := range a.records.statuses {
		b.PutStatuses = append(b.PutStatuses, st)
	}
	if a.records.lost > 0 {
		b.Transitions = append(b.Transitions, store.Transition{At: now, Lost: a.records.lost})
	}
	b.Transitions = append(append(b.Transitions, a.records.transitions...), a.draft.actions...)
}

// changesNothing reports whether the batch has no records, so that its commit would change nothing
// in the store.
func (a *attempt) changesNothing() bool {
	b := a.batch
	return len(b.DeleteRegistrations)+len(b.DeleteOverrides)+len(b.PutRegistrations)+len(b.PutOverrides)+
		len(b.PutStatuses)+len(b.Transitions) == 0
}

// refuse sets the error of each command whose changes are in the batch, because the batch
// was not committed. If indeterminate is not nil, refuse also sets the error of each command
// about a name that the indeterminate commit changes. It returns the events of the refused
// commands. It never refuses a command with Configure, because a configuration takes effect
// without the store.
func (a *attempt) refuse(cause error, indeterminate *attempt) (events []mesh.Event) {
	for _, c := range a.commands {
		needs := a.draft.touches(c) || indeterminate != nil && indeterminate.draft.touches(c)
		if c.Err == nil && c.Configure == nil && needs {
			events = append(events, c.events...)
			c.Err = fmt.Errorf("%w: %v", domain.ErrStore, cause)
		}
	}
	return events
}

// configuredChanges returns the registrations that the configuration changes in this batch, by
// name. These changes take effect even if the store does not hold them. A nil value means that the
// registration is removed.
func (a *attempt) configuredChanges() map[health.ID]*store.Registration {
	changes := maps.Clone(a.draft.restored)
	for _, c := range a.commands {
		if c.Configure != nil && c.Err == nil {
			maps.Copy(changes, c.Configure.changed)
		}
	}
	return changes
}
