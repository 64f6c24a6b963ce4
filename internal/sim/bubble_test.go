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

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/registry"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// bubble is a whole registry on a simulated disk, with callers and readers, in a bubble of
// synctest. A caller stands for one instance, its client and its follower. It is created when
// a step of the script names it for the first time.
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

// pauses is a log handler that can pause the owner and the store writer of the registry, since
// both write logs.
type pauses struct {
	slog.Handler
	next  atomic.Int64 // nanoseconds for which the next log record pauses its writer
	until atomic.Int64 // planned end of the last pause, in Unix nanoseconds
	ended atomic.Int64 // time at which the last pause ended, in Unix nanoseconds
	// killed is closed when the process of the registry is killed, which ends a pause.
	killed atomic.Pointer[chan struct{}]
}

// live must be called when a registry starts. The returned function kills the registry: it ends
// the present pause.
func (p *pauses) live() (kill func()) {
	killed := make(chan struct{})
	p.killed.Store(&killed)
	return func() { close(killed) }
}

func (p *pauses) Enabled(context.Context, slog.Level) bool { return true }

func (p *pauses) Handle(context.Context, slog.Record) error {
	if d := time.Duration(p.next.Swap(0)); d > 0 {
		p.until.Store(max(p.until.Load(), time.Now().Add(d).UnixNano()))
		select {
		case <-time.After(d):
		case <-*p.killed.Load():
		}
		p.ended.Store(time.Now().UnixNano())
	}
	return nil
}

// caller is one instance, with the answers that it has received from the registry.
type caller struct {
	id          health.ID
	busy        bool // true while a call of the caller has no answer
	incarnation int
	lease       uint64
	sure        bool // true if it is known whether the store must have the registration
	doubtful    bool // true if it is not known whether the store must have the override
	override    *health.Override
	says        health.Status
	alive       bool
	since       time.Time // the last time that alive changed
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

// playBubble plays a script to a whole registry in a bubble of synctest. It returns the first
// fault, and the number of events that the registry received.
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
			b.playStep(&s.Steps[i])
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
	kill := b.pauses.live()
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			b.fail("end", "%v", err)
		}
	})
	b.Registry, b.stop = r, func() { kill(); cancel(); running.Wait() }
	for _, l := range b.readers {
		l.readFrom(r.Feed())
	}
	b.wait()
	b.remembered()
	for _, c := range b.callers {
		if c.alive && !c.busy { // the follower of the instance connects again
			b.report(c)
		}
	}
}

// remembered checks, after a restart, that the registry still has every acknowledged
// registration and override.
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

// until lets time pass until at. Each second, every caller gives evidence: that its instance is
// alive, or that it does not answer.
func (b *bubble) until(at time.Time) {
	for time.Until(at) > 0 && !b.failed() {
		time.Sleep(min(time.Until(at), time.Second))
		b.wait()
		for _, c := range b.callers {
			b.pulse(c)
		}
		b.wait()
		for _, c := range b.callers {
			b.checkCaller(c)
		}
	}
}

func (b *bubble) pulse(c *caller) {
	kind := mesh.EventAlive
	if !c.alive {
		kind = mesh.EventPath
	}
	if c.lease != 0 {
		b.observe(mesh.Event{Kind: kind, ID: c.id, Lease: c.lease, Proven: c.alive}, time.Time{})
	}
}

func (b *bubble) observe(ev mesh.Event, since time.Time) {
	b.events++
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	_ = b.Observe(ctx, ev, since)
}

// checkCaller compares the published state of an instance with the truth.
func (b *bubble) checkCaller(c *caller) {
	e, ok := b.Feed().Get(c.id)
	if !ok || !c.sure || c.busy || c.lease == 0 || e.Spec.Lease != c.lease {
		return
	}
	// Nothing could be published while the registry was paused or down.
	last := max(c.since.UnixNano(), b.started.UnixNano(), b.pauses.until.Load())
	switch quiet := time.Duration(time.Now().UnixNano() - last); {
	case c.alive && quiet > 2*time.Second && (e.Judged != c.says || e.Unconfirmed):
		b.fail("false transition", "%s lives, and says %s: %+v", c.id, c.says, e.State)
	case !c.alive && quiet > 3*bubbleUnreachable && e.Judged.Routable():
		b.fail("undetected", "%s is silent since %v: %+v", c.id, quiet, e.State)
	}
}

// playStep plays one step of the script. It does not wait for the answers to calls.
func (b *bubble) playStep(s *Step) {
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
		b.playCallerStep(b.caller(s.Who), s)
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

func (b *bubble) playCallerStep(c *caller, s *Step) {
	switch s.Op {
	case OpSay:
		if c.lease != 0 && !c.busy {
			c.says, c.alive, c.since = s.Status, true, time.Now()
			b.report(c)
		}
	case OpCut:
		c.alive, c.since = false, time.Now()
	case OpDelay: // a follower reports a wait without an answer, which began For ago
		if c.lease != 0 && c.alive {
			b.observe(mesh.Event{Kind: mesh.EventPath, ID: c.id, Lease: c.lease}, time.Now().Add(-s.For))
		}
	default:
		if !c.busy {
			b.call(c, s)
		}
	}
}

func (b *bubble) report(c *caller) {
	b.observe(mesh.Event{Kind: mesh.EventReport, ID: c.id, Lease: c.lease, Proven: true, Report: mesh.Report{
		Source: health.SourceMeshhealth, Status: c.says,
	}}, time.Time{})
}

// call makes a call in a goroutine. The registry answers the call when its effect is durable.
// The method wait stores the answer in c.
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

// wait waits until all goroutines of the bubble are blocked, and stores the answers to calls in
// their callers.
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
	if _, err := r.Deregister(b.t.Context(), c.id, c.lease, false, wire.Registrant{}); err != nil {
		return func(c *caller) { c.sure, c.doubtful = false, true }
	}
	if held, ok := b.disk.holds(c.id); ok {
		b.fail("not durable", "%s was told that it is gone, and the disk holds %+v", c.id, held.Registrations)
	}
	return func(c *caller) { c.sure, c.lease = true, 0 } // the override outlasts the registration
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

// end lets two minutes pass without faults and stops the registry. It then checks that all
// readers have received the published states.
func (b *bubble) end() {
	b.disk.set(diskWell, 0)
	if !b.failed() {
		b.until(time.Now().Add(2 * time.Minute))
	}
	b.stop()
	b.disk.cut() // this ends a commit that hangs, for which the registry has not waited
	b.calls.Wait()
	for _, l := range b.readers {
		l.end()
		if !b.failed() {
			l.compare(b)
		}
	}
}
