package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// attempt is a commit that failed, which says nothing of whether it was made.
type attempt struct {
	stamp  time.Time
	draft  *draft
	work   work
	events []health.Event // of commands that were refused
}

// stamp marks a commit with a time that none before it had, not even if the
// clock stands still or goes back. It tells of one that failed whether all of it
// was made, or nothing.
func (s *scribe) stamp(b *store.Batch, now time.Time) {
	s.stamps++
	b.AliveAt = now.Truncate(time.Microsecond).Add(-time.Duration(s.stamps % 1000))
}

// made asks the store whether it holds a commit, by its stamp.
func (s *scribe) made(ctx context.Context, stamp time.Time) (bool, error) {
	found, err := s.store.Lookup(ctx, nil)
	return err == nil && found.AliveAt.Equal(stamp), err
}

// failed answers the commands of a commit that failed by what has become of it:
// a failed write is unknown, not undone.
func (s *scribe) failed(ctx context.Context, stamp time.Time, d *draft, w *work, cause error) {
	s.report(cause)
	switch made, err := s.made(ctx, stamp); {
	case err != nil:
		s.doubt = &attempt{stamp, d, w.records(), refuse(d, w.commands, cause)}
		s.answer(w.commands)
	case made:
		s.applied(d, w.commands)
	default:
		s.putOff(d, w, cause)
	}
}

// putOff keeps what is only history for later, and refuses the rest.
func (s *scribe) putOff(d *draft, w *work, cause error) {
	records := w.records()
	s.queue.giveBack(&records)
	refuse(d, w.commands, cause)
	s.answer(w.commands)
}

// settle finds out, if nobody knew, what has become of the last commit. Its
// commands have been answered; but memory follows the store.
func (s *scribe) settle(ctx context.Context) error {
	a := s.doubt
	if a == nil {
		return nil
	}
	made, err := s.made(ctx, a.stamp)
	if err != nil {
		return err
	}
	s.doubt = nil
	if !made {
		s.queue.giveBack(&a.work)
		return nil
	}
	s.adopt(a.draft)
	s.tellOwner(a.events)
	return nil
}

// refuse fails the commands that want something new of the store, or are about
// what nobody knows yet, and returns what they would have come to.
func refuse(d *draft, commands []*command, cause error) (events []health.Event) {
	for _, c := range commands {
		if c.err == nil && (d.touches(c) || d.s.doubted(c)) {
			events = append(events, c.events...)
			c.err = fmt.Errorf("%w: %v", wire.ErrStore, cause)
		}
	}
	return events
}

// doubted reports whether a command is about what a commit would have changed of
// which nobody knows whether it was made.
func (s *scribe) doubted(c *command) bool { return s.doubt != nil && s.doubt.draft.touches(c) }

// touches reports whether the draft changes anything a command is about.
func (d *draft) touches(c *command) bool {
	ids := map[health.ID]bool{}
	c.names(ids)
	for id := range ids {
		_, reg := d.regs[id]
		_, over := d.overs[id]
		if reg || over {
			return true
		}
	}
	return false
}
