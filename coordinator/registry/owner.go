package registry

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

// message is one thing for the owner: an event, a renewal that wants an
// answer, or news of the store.
type message struct {
	event health.Event
	// since is when the wait began whose end without an answer the event
	// tells; zero if it tells something else.
	since time.Time
	// renewal is answered instead of an event being applied.
	renewal *renewal
	// work is done with the mesh instead; it appends what it changes.
	work func(m *health.Mesh, dst []health.Change, now time.Time) []health.Change
	// store is what the scribe says of its store; nil if nothing.
	store *storeState
	// done is closed when the message has been applied and published.
	done chan struct{}
}

// owner is the only one who touches the mesh.
type owner struct {
	mesh    *health.Mesh
	feed    *feed.Feed
	log     *slog.Logger
	inbox   chan message
	stopped chan struct{} // closed when nobody reads the inbox any more
	record  func([]health.Change)
	ended   func([]health.Override)

	clock    lateness
	store    storeState
	changes  []health.Change
	acks     []chan struct{}
	lastBeat time.Time
	late     atomic.Pointer[lateWakes] // nil: never late
	glance   atomic.Pointer[Glance]    // nil: never awake
}

func (o *owner) run(ctx context.Context) {
	defer close(o.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	awake := time.Now()
	o.lastBeat = awake
	for {
		next, _ := o.mesh.Deadline()
		// From when it woke on: it may have been stopped while it was awake.
		timer.Reset(o.clock.arm(awake, next) - time.Since(awake))
		select {
		case <-ctx.Done():
			return
		case m := <-o.inbox:
			awake = o.wake(&m)
		case <-timer.C:
			awake = o.wake(nil)
		}
	}
}

// wake handles everything that waits. Lateness is forgiven first, then
// evidence is applied, then time passes: evidence beats a deadline that is due
// at the same wake. It returns when that was.
func (o *owner) wake(first *message) (now time.Time) {
	now = time.Now()
	if late := o.clock.woke(now); late > 0 {
		o.log.Warn("woke late; every deadline was moved", "late", late)
		o.late.Store(o.late.Load().another(now))
		o.mesh.Forgive(late)
	}
	if first != nil {
		o.take(now, first)
	}
	o.takeWaiting(now)
	o.changes = o.mesh.Tick(o.changes, now)
	o.changes = o.mesh.Self(o.changes, o.store.status, o.store.cause, o.store.reason)
	o.look()
	o.publish()
	o.beat(now)
	return now
}

// look notes how we are, if that has changed.
func (o *owner) look() {
	now := Glance{
		Score: o.mesh.Score(), Guards: o.mesh.Guards(), Overrides: o.mesh.Forcing(),
		StoreError: o.store.reason, // none while it is fine
	}
	if was := o.glance.Load(); was == nil || !was.same(&now) {
		o.glance.Store(&now)
	}
}

func (o *owner) takeWaiting(now time.Time) {
	for range inboxSize { // not for ever: the first of it waits to be published
		select {
		case m := <-o.inbox:
			o.take(now, &m)
		default:
			return
		}
	}
}

func (o *owner) take(now time.Time, m *message) {
	switch {
	case m.store != nil:
		o.store = *m.store
	case m.renewal != nil:
		o.changes = o.renew(o.changes, now, m.renewal)
	case m.work != nil:
		o.changes = m.work(o.mesh, o.changes, now)
	case o.clock.overlapped(m.since):
		// The wait was ours to blame.
	default:
		o.changes = o.mesh.Apply(o.changes, now, &m.event)
	}
	if m.done != nil {
		o.acks = append(o.acks, m.done)
	}
}

// publish hands the changes to the readers and to the scribe, neither of whom
// it waits for, and then answers.
func (o *owner) publish() {
	o.record(o.changes) // first: who has seen it finds it in the history
	o.feed.Publish(o.changes)
	o.ended(o.mesh.Ended())
	for i := range o.changes {
		logChange(o.log, &o.changes[i])
	}
	for _, done := range o.acks {
		close(done)
	}
	clear(o.changes)
	clear(o.acks)
	o.changes, o.acks = o.changes[:0], o.acks[:0]
}

// beat drives the heartbeats: once a second, and no more than once after a
// pause.
func (o *owner) beat(now time.Time) {
	if now.Sub(o.lastBeat) < time.Second {
		return
	}
	o.lastBeat = o.lastBeat.Add(now.Sub(o.lastBeat).Truncate(time.Second))
	o.feed.Beat()
}
