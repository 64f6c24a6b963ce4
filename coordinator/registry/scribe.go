package registry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// scribe is the only one who writes to the store.
type scribe struct {
	store        store.Store
	log          *slog.Logger
	queue        queue
	inbox        chan<- message
	ownerStopped <-chan struct{}
	stopped      chan struct{}
	newLease     func() uint64
	maxInstances int

	// committed is what the store holds, as far as we know.
	committed map[health.ID]store.Registration
	forced    map[health.ID]store.Override // by the key of its scope
	failing   bool
	aliveAt   time.Time
	stamps    int       // how many commits were marked
	triedAt   time.Time // the last commit
	doubt     *attempt  // the last commit, if nobody knows whether it was made
}

const (
	aliveEvery = time.Minute     // how often the store is told that we live
	retryStore = 1 * time.Second // how long after a failure it is tried again
	// gather is how long what nobody waits for waits for company: each commit
	// is a wait for the disk, which delays the next one.
	gather = 50 * time.Millisecond
	// catchUp is how long who reads the history waits for what is not in it yet.
	catchUp = 1 * time.Second
)

// storeState is what the coordinator says of itself by its store.
type storeState struct {
	status health.Status
	cause  health.Cause
	reason string
}

var storeFine = storeState{status: health.Serving, cause: health.CauseOK}

func (s *scribe) init(cfg *Config, inbox chan<- message, ownerStopped <-chan struct{}) {
	s.store, s.log, s.newLease, s.maxInstances = cfg.Store, cfg.Logger, cfg.NewLease, cfg.MaxInstances
	s.inbox, s.ownerStopped = inbox, ownerStopped
	s.stopped = make(chan struct{})
	s.committed, s.forced = map[health.ID]store.Registration{}, map[health.ID]store.Override{}
	s.queue.init(cfg.QueueBytes)
}

// do hands a command to the scribe and waits for its end.
func (s *scribe) do(ctx context.Context, c *command) error {
	return s.doUnless(ctx, c, maxCommands)
}

// doUnless does it if fewer than so many wait.
func (s *scribe) doUnless(ctx context.Context, c *command, most int) error {
	c.done = make(chan error, 1)
	if !s.queue.command(c, most) {
		return fmt.Errorf("%w: %d registrations and overrides wait for the store, the most that may", wire.ErrLimit, most)
	}
	select {
	case err := <-c.done:
		return err
	case <-s.stopped:
		select {
		case err := <-c.done: // it was in the last commit
			return err
		default:
			return wire.ErrStopping
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// catchUp has what waits written, and does not wait for ever, nor in the place
// of those who want more.
func (s *scribe) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	// An order of nothing is answered when that was tried.
	_ = s.doUnless(ctx, &command{}, maxCommands/2)
}

// run writes what waits, until ctx ends, and then once more. A write that has
// begun is not cut short.
func (s *scribe) run(ctx context.Context) {
	defer close(s.stopped)
	whole := context.WithoutCancel(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	gathering := false
	for {
		select {
		case <-ctx.Done():
			s.flush(whole)
			return
		case <-s.queue.notify:
			if s.queue.orders() == 0 {
				// While the store fails it waits for the next try, which takes
				// all there is.
				if !gathering && !s.failing {
					gathering = true
					timer.Reset(gather)
				}
				continue
			}
		case <-timer.C:
		}
		s.flush(whole)
		gathering = false
		timer.Reset(s.nextTry())
	}
}

func (s *scribe) nextTry() time.Duration {
	if s.failing {
		return retryStore
	}
	return max(0, time.Until(s.aliveAt.Add(aliveEvery)))
}

// flush makes one commit of everything that waits.
func (s *scribe) flush(ctx context.Context) {
	unsettled := s.settle(ctx)
	w := s.queue.take()
	b, d := s.batch(&w)
	switch {
	case unsettled != nil:
		s.putOff(d, &w, unsettled)
	case empty(b):
		s.applied(d, w.commands)
	default:
		s.commit(ctx, b, d, &w)
	}
}

func (s *scribe) commit(ctx context.Context, b *store.Batch, d *draft, w *work) {
	s.triedAt = time.Now()
	if err := s.store.Commit(ctx, b); err != nil {
		s.failed(ctx, b.AliveAt, d, w, err)
		return
	}
	s.aliveAt = time.Now()
	s.report(nil)
	s.applied(d, w.commands)
}

func empty(b *store.Batch) bool {
	return len(b.DeleteRegistrations)+len(b.DeleteOverrides)+len(b.PutRegistrations)+len(b.PutOverrides)+
		len(b.PutStatuses)+len(b.Transitions) == 0 && b.AliveAt.IsZero()
}

// batch decides what each command comes to, and collects the records.
func (s *scribe) batch(w *work) (*store.Batch, *draft) {
	b := &store.Batch{}
	for id, lease := range w.removed {
		if reg, ok := s.committed[id]; ok && reg.Lease == lease {
			b.DeleteRegistrations = append(b.DeleteRegistrations, id)
		}
	}
	d := newDraft(s, b)
	d.end(w.ended)
	for _, c := range w.commands {
		c.err = c.draft(d)
	}
	d.finish()
	for _, st := range w.statuses {
		b.PutStatuses = append(b.PutStatuses, st)
	}
	if w.lost > 0 {
		b.Transitions = append(b.Transitions, store.Transition{At: time.Now(), Lost: w.lost})
	}
	b.Transitions = append(append(b.Transitions, w.transitions...), d.acts...)
	probe := s.failing && time.Since(s.triedAt) >= retryStore
	if now := time.Now(); !empty(b) || probe || now.Sub(s.aliveAt) >= aliveEvery {
		s.stamp(b, now)
	}
	return b, d
}

// report tells the owner when the store's state has changed.
func (s *scribe) report(err error) {
	if s.failing == (err != nil) {
		return
	}
	s.failing = err != nil
	state := storeFine
	if s.failing {
		s.log.Error("the store does not take records", "error", err)
		state = storeState{health.Degraded, health.CauseFailed, wire.Clean("store: " + err.Error())}
	} else {
		s.log.Info("the store takes records again")
	}
	s.send(message{store: &state})
}

// send hands a message to the owner, unless that has stopped.
func (s *scribe) send(m message) {
	select {
	case s.inbox <- m:
	case <-s.ownerStopped:
	}
}
