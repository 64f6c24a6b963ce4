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

// attempt is one batch with the commands and records from which it was drafted. It
// exists from the draft until the outcome of the commit is known.
type attempt struct {
	batch    *store.Batch
	draft    *draft
	commands []*Command // the commands of the batch; nil after an indeterminate commit, when they are answered
	records  records
	// cause is the error of the commit. It is nil until the commit has failed.
	cause error
	// answered is true if the commit is indeterminate: its outcome is not known, and
	// the callers of the commands have their answers already.
	answered bool
	// refused holds the events of the commands that were refused because the commit is
	// indeterminate. unsaved holds the configured changes that were in effect without
	// the store at that moment. Both are used if the store finds that it made the commit.
	refused []mesh.Event
	unsaved map[health.ID]*store.Registration
}

// newAttempt drafts a batch from all commands and records that wait for the store.
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

// draft adds the command to a batch, or returns why it is refused.
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

// appendRecords adds the statuses and the transitions to the batch. The transitions are
// a gap record if some were lost, those of the mesh, and the actions on overrides.
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

// changesNothing reports whether the batch has no records.
func (a *attempt) changesNothing() bool {
	b := a.batch
	return len(b.DeleteRegistrations)+len(b.DeleteOverrides)+len(b.PutRegistrations)+len(b.PutOverrides)+
		len(b.PutStatuses)+len(b.Transitions) == 0
}

// refuse sets an error in each command that needs the batch. It does so too for a
// command about a name that the indeterminate commit changes, if indeterminate is not
// nil. It returns the events of the refused commands. A command with Configure is never
// refused, because a configuration takes effect without the store.
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

// configuredChanges returns the registrations that the configuration has changed. Such
// changes are in effect even if the store does not hold them. nil means removed.
func (a *attempt) configuredChanges() map[health.ID]*store.Registration {
	changes := maps.Clone(a.draft.restored)
	for _, c := range a.commands {
		if c.Configure != nil && c.Err == nil {
			maps.Copy(changes, c.Configure.changed)
		}
	}
	return changes
}
