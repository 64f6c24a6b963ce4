package registry

import (
	"fmt"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// applied makes what was committed ours, and answers: the owner first, so that
// who has registered also finds itself.
func (s *scribe) applied(d *draft, commands []*command) {
	for id, reg := range d.regs {
		if reg == nil {
			delete(s.committed, id)
			delete(s.forced, id)
			continue
		}
		s.committed[id] = *reg
	}
	for key, o := range d.overs {
		delete(s.forced, key)
		if o != nil {
			s.forced[key] = overrideRecord(key, o)
		}
	}
	s.tellOwner(commands)
	for _, c := range commands {
		c.done <- c.err
	}
}

// tellOwner hands over the events of what succeeded, and waits until they are
// published.
func (s *scribe) tellOwner(commands []*command) {
	var events []health.Event
	for _, c := range commands {
		if c.err == nil {
			events = append(events, c.events...)
		}
	}
	if len(events) == 0 {
		return
	}
	published := make(chan struct{})
	for i := range events {
		m := message{event: events[i]}
		if i == len(events)-1 {
			m.done = published
		}
		s.send(m)
	}
	select {
	case <-published:
	case <-s.ownerStopped:
	}
}

// unsure answers commands whose commit failed by what the store says it holds
// now: a failed write is unknown, not undone. What no command was about was not
// read back; it is tried again.
func (s *scribe) unsure(d *draft, commands []*command, asked map[health.ID]bool, found *store.State, cause error) {
	held := map[health.ID]*store.Registration{}
	for i := range found.Registrations {
		held[found.Registrations[i].ID] = &found.Registrations[i]
	}
	for id, want := range d.regs {
		if !asked[id] {
			delete(d.regs, id)
		} else if !same(held[id], want) {
			d.regs[id] = held[id]
			s.refuse(commands, id, cause)
		}
	}
	overs := map[health.ID]*store.Override{}
	for i := range found.Overrides {
		overs[found.Overrides[i].ID] = &found.Overrides[i]
	}
	for id, want := range d.overs {
		if !asked[id] {
			delete(d.overs, id)
		} else if !sameOverride(overs[id], want) {
			if d.overs[id] = nil; overs[id] != nil {
				d.overs[id] = overrideOf(overs[id])
			}
			s.refuse(commands, id, cause)
		}
	}
	s.applied(d, commands)
}

// refuse fails every command that is about id.
func (s *scribe) refuse(commands []*command, id health.ID, cause error) {
	for _, c := range commands {
		ids := map[health.ID]bool{}
		c.names(ids)
		if ids[id] && c.err == nil {
			c.err = fmt.Errorf("%w: %v", wire.ErrStore, cause)
		}
	}
}

func refuseAll(commands []*command, cause error) {
	for _, c := range commands {
		if c.err == nil {
			c.err = fmt.Errorf("%w: %v", wire.ErrStore, cause)
		}
		c.done <- c.err
	}
}

// same reports whether the store holds what was to be written.
func same(held, want *store.Registration) bool {
	if held == nil || want == nil {
		return held == nil && want == nil
	}
	return held.Lease == want.Lease && held.Address == want.Address && held.RegisteredAt.Equal(want.RegisteredAt)
}

func sameOverride(held *store.Override, want *health.Override) bool {
	if held == nil || want == nil {
		return held == nil && want == nil
	}
	return held.Status == want.Status && held.Author == want.Author && held.Reason == want.Reason &&
		held.SetAt.Equal(want.SetAt) && held.ExpiresAt.Equal(want.ExpiresAt)
}
