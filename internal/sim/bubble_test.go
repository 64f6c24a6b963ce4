package sim

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/registry"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// bubble is a real registry on a disk that obeys, with callers, followers and
// readers, in a bubble of synctest. Its scripts have no instances of a world:
// who calls is made when it is first named.
type bubble struct {
	t      *testing.T
	began  time.Time
	disk   *disk
	pauses *pauses
	*registry.Registry
	stop    func()
	epoch   uint64
	callers map[string]*caller
	calls   sync.WaitGroup
	readers []*listener
	events  int
	started time.Time

	mu      sync.Mutex
	fault   *Fault
	answers []func()
}

// pauses makes the owner stand still, or the scribe, in the only call both make to
// the outside.
type pauses struct {
	slog.Handler
	next  atomic.Int64
	until atomic.Int64 // the end of the last one
	ended atomic.Int64 // that has ended
}

func (p *pauses) Enabled(context.Context, slog.Level) bool { return true }

func (p *pauses) Handle(context.Context, slog.Record) error {
	if d := time.Duration(p.next.Swap(0)); d > 0 {
		p.until.Store(max(p.until.Load(), time.Now().Add(d).UnixNano()))
		time.Sleep(d)
		p.ended.Store(time.Now().UnixNano())
	}
	return nil
}

// caller is one instance, and what it was promised.
type caller struct {
	id          health.ID
	busy        bool // a call of its own is under way
	incarnation int
	lease       uint64
	sure        bool // it knows what the store ought to hold
	doubtful    bool // but not of its override
	override    *health.Override
	says        health.Status
	alive       bool
	since       time.Time // alive, or not
}

func (b *bubble) fail(rule, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault == nil {
		b.fault = &Fault{Rule: rule, At: time.Since(b.began), Detail: fmt.Sprintf(format, args...)}
	}
}

func (b *bubble) failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault != nil
}

// playBubble plays a script to a registry.
func playBubble(t *testing.T, s *Script) (fault *Fault, events int) {
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{
			t: t, began: time.Now(), disk: newDisk(), callers: map[string]*caller{},
			pauses: &pauses{Handler: slog.DiscardHandler}, epoch: s.Seed,
		}
		b.start()
		b.listen()
		for i := range s.Steps {
			b.until(b.began.Add(s.Steps[i].At))
			if b.failed() {
				break
			}
			b.do(&s.Steps[i])
			b.wait()
		}
		b.end()
		fault, events = b.fault, b.events
	})
	return fault, events
}

const bubbleUnreachable = 5 * time.Second

func (b *bubble) start() {
	b.epoch++
	b.started = time.Now()
	r, err := registry.New(b.t.Context(), registry.Config{
		Store: b.disk, Epoch: b.epoch, Logger: slog.New(b.pauses),
		Policy: health.MeshPolicy{
			GuardMin: -1, FlapHalfLife: -1, DeregisterAfter: -1, UnreachableAfter: bubbleUnreachable, Amnesty: bubbleUnreachable,
		},
	})
	if err != nil {
		b.fail("store", "%v", err)
		return
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	b.Registry, b.stop = r, func() { cancel(); running.Wait() }
	for _, l := range b.readers {
		l.turn(r.Feed())
	}
	b.wait()
	b.remembered()
	for _, c := range b.callers {
		if c.alive && !c.busy { // its follower finds it again
			b.report(c)
		}
	}
}

// remembered holds that what was acknowledged is there after a restart.
func (b *bubble) remembered() {
	for _, c := range b.callers {
		if !c.sure || c.busy {
			continue
		}
		e, ok := b.Feed().Get(c.id)
		switch {
		case c.lease == 0 && ok:
			b.fail("forgotten", "%s was deregistered, and is there after a restart", c.id)
		case c.lease != 0 && (!ok || e.Spec.Lease != c.lease):
			b.fail("forgotten", "%s was registered and acknowledged, and is not there after a restart", c.id)
		case c.lease != 0 && !c.doubtful && (e.Override == nil) != (c.override == nil):
			b.fail("forgotten", "%s has override %v after a restart, want %v", c.id, e.Override, c.override)
		}
	}
}

// until lets time pass. Who lives shows it now and then.
func (b *bubble) until(at time.Time) {
	for time.Until(at) > 0 && !b.failed() {
		time.Sleep(min(time.Until(at), time.Second))
		b.wait()
		for _, c := range b.callers {
			b.pulse(c)
		}
		b.wait()
		for _, c := range b.callers {
			b.look(c)
		}
	}
}

func (b *bubble) pulse(c *caller) {
	kind := health.EventAlive
	if !c.alive {
		kind = health.EventPath
	}
	if c.lease != 0 {
		b.observe(health.Event{Kind: kind, ID: c.id, Lease: c.lease}, time.Time{})
	}
}

func (b *bubble) observe(ev health.Event, since time.Time) {
	b.events++
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	_ = b.Observe(ctx, ev, since)
}

// look holds one caller's published state against its truth.
func (b *bubble) look(c *caller) {
	e, ok := b.Feed().Get(c.id)
	if !ok || !c.sure || c.busy || c.lease == 0 || e.Spec.Lease != c.lease {
		return
	}
	// Nobody is to blame for what was not published while nobody was awake.
	last := max(c.since.UnixNano(), b.started.UnixNano(), b.pauses.until.Load())
	switch quiet := time.Duration(time.Now().UnixNano() - last); {
	case c.alive && quiet > 2*time.Second && (e.Judged != c.says || e.Unconfirmed):
		b.fail("false transition", "%s lives, and says %s: %+v", c.id, c.says, e.State)
	case !c.alive && quiet > 3*bubbleUnreachable && e.Judged.Routable():
		b.fail("undetected", "%s is silent since %v: %+v", c.id, quiet, e.State)
	}
}

// do does one step. Callers wait for answers on their own.
func (b *bubble) do(s *Step) {
	switch s.Op {
	case OpPause:
		b.pauses.next.Store(int64(s.For))
	case OpStall:
		b.disk.set(s.N, s.For)
	case OpCrash:
		on := b.disk.cut()
		b.stop()
		time.Sleep(s.For)
		on()
		b.start()
	default:
		b.doCaller(b.caller(s.Who), s)
	}
}

func (b *bubble) caller(name string) *caller {
	c := b.callers[name]
	if c == nil {
		c = &caller{id: health.ParseID(name), says: health.Starting}
		b.callers[name] = c
	}
	return c
}

func (b *bubble) doCaller(c *caller, s *Step) {
	switch s.Op {
	case OpSay:
		if c.lease != 0 && !c.busy {
			c.says, c.alive, c.since = s.Status, true, time.Now()
			b.report(c)
		}
	case OpCut:
		c.alive, c.since = false, time.Now()
	case OpDelay: // a wait in vain that began so long ago
		if c.lease != 0 && c.alive {
			b.observe(health.Event{Kind: health.EventPath, ID: c.id, Lease: c.lease}, time.Now().Add(-s.For))
		}
	default:
		if !c.busy {
			b.call(c, s)
		}
	}
}

func (b *bubble) report(c *caller) {
	b.observe(health.Event{Kind: health.EventReport, ID: c.id, Lease: c.lease, Report: health.Report{
		Source: health.SourceMeshhealth, Status: c.says,
	}}, time.Time{})
}

// call makes a durable call; it may take as long as the disk does. What came of
// it is noted when the script goes on.
func (b *bubble) call(c *caller, s *Step) {
	c.busy = true
	make := b.add
	switch s.Op {
	case OpRemove:
		make = b.remove
	case OpOverride, OpClear:
		make = b.force
	}
	asked, r := *c, b.Registry
	b.calls.Go(func() {
		note := make(r, asked, s)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.answers = append(b.answers, func() {
			note(c)
			c.busy = false
		})
	})
}

// wait lets everybody do what they have to, and notes the answers.
func (b *bubble) wait() {
	synctest.Wait()
	b.mu.Lock()
	answers := b.answers
	b.answers = nil
	b.mu.Unlock()
	for _, note := range answers {
		note()
	}
}

func (b *bubble) add(r *registry.Registry, c caller, _ *Step) (note func(*caller)) {
	incarnation := c.incarnation + 1
	specs, err := r.Register(b.t.Context(), []wire.Registration{{ID: c.id, Spec: health.Spec{
		Address: "192.0.2.1:1", Incarnation: fmt.Sprint(incarnation), TTL: ttl,
	}}})
	if err != nil {
		return func(c *caller) { c.incarnation, c.sure = incarnation, false }
	}
	lease, since := specs[0].Lease, time.Now()
	if held, ok := b.disk.holds(c.id); !ok || held.Registrations[0].Lease != lease {
		b.fail("not durable", "%s was told that it is registered, and the disk holds %+v", c.id, held.Registrations)
	}
	return func(c *caller) {
		c.incarnation, c.sure, c.lease, c.says, c.alive, c.since = incarnation, true, lease, health.Starting, false, since
	}
}

func (b *bubble) remove(r *registry.Registry, c caller, _ *Step) (note func(*caller)) {
	if err := r.Deregister(b.t.Context(), c.id, c.lease); err != nil {
		return func(c *caller) { c.sure, c.doubtful = false, true }
	}
	if held, ok := b.disk.holds(c.id); ok {
		b.fail("not durable", "%s was told that it is gone, and the disk holds %+v", c.id, held.Registrations)
	}
	return func(c *caller) { c.sure, c.lease, c.override, c.doubtful = true, 0, nil, false }
}

func (b *bubble) force(r *registry.Registry, c caller, s *Step) (note func(*caller)) {
	var o *health.Override
	scope, err := health.ScopeOf(c.id), error(nil)
	if s.Op == OpOverride {
		o = &health.Override{Status: s.Status, Author: "x", Reason: secret, SetAt: time.Now().Round(0)}
		err = r.SetOverride(b.t.Context(), scope, o)
	} else {
		err = r.ClearOverride(b.t.Context(), scope, "x", secret)
	}
	if err != nil {
		return func(c *caller) { c.doubtful = true }
	}
	if held, _ := b.disk.holds(c.id); len(held.Overrides) != count(o != nil) {
		b.fail("not durable", "%s was told that it is forced to %v, and the disk holds %+v", c.id, o, held.Overrides)
	}
	return func(c *caller) { c.override, c.doubtful = o, false }
}

// end lets everything come to rest.
func (b *bubble) end() {
	b.disk.set(diskWell, 0)
	if !b.failed() {
		b.until(time.Now().Add(2 * time.Minute))
	}
	b.stop()
	b.calls.Wait()
	for _, l := range b.readers {
		l.end()
		if !b.failed() {
			l.compare(b)
		}
	}
}
