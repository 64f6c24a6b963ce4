package registry

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

var errDisk = errors.New("no space left on device")

// disk is a real store whose commits block and fail on demand. It outlives its
// registries.
type disk struct {
	*store.Memory
	mu      sync.Mutex
	gate    chan struct{} // commits wait until it is closed
	fails   error         // what commits return
	writes  bool          // commits are made although they return an error
	blind   bool          // Lookup fails
	commits int
}

func newDisk() *disk {
	d := &disk{Memory: store.NewMemory(0), gate: make(chan struct{})}
	close(d.gate)
	return d
}

// block makes commits wait until the returned function is called.
func (d *disk) block() (unblock func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gate := make(chan struct{})
	d.gate = gate
	return func() { close(gate) }
}

func (d *disk) set(fails error, writes, blind bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails, d.writes, d.blind = fails, writes, blind
}

func (d *disk) Commit(ctx context.Context, b *store.Batch) error {
	d.mu.Lock()
	gate := d.gate
	d.commits++
	d.mu.Unlock()
	<-gate
	d.mu.Lock()
	fails, writes := d.fails, d.writes
	d.mu.Unlock()
	if fails == nil || writes {
		if err := d.Memory.Commit(ctx, b); err != nil {
			return err
		}
	}
	return fails
}

func (d *disk) written() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.commits
}

func (d *disk) Lookup(ctx context.Context, ids []health.ID) (store.State, error) {
	d.mu.Lock()
	blind := d.blind
	d.mu.Unlock()
	if blind {
		return store.State{}, errDisk
	}
	return d.Memory.Lookup(ctx, ids)
}

func (d *disk) Close() error { return nil }

// holds returns the registration that is stored.
func (d *disk) holds(t *testing.T, name string) (store.Registration, bool) {
	t.Helper()
	s, err := d.Memory.Lookup(t.Context(), []health.ID{health.ParseID(name)})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Registrations) == 0 {
		return store.Registration{}, false
	}
	return s.Registrations[0], true
}

// rig is a running registry.
type rig struct {
	*Registry
	t    *testing.T
	stop func()
}

// run starts a registry. It must be called in a bubble.
func run(t *testing.T, cfg Config) *rig {
	t.Helper()
	r, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	rig := &rig{Registry: r, t: t, stop: sync.OnceFunc(func() { cancel(); running.Wait() })}
	t.Cleanup(rig.stop)
	synctest.Wait()
	return rig
}

func leased(name, incarnation string) wire.Registration {
	return wire.Registration{
		ID:   health.ParseID(name),
		Spec: health.Spec{Address: "192.0.2.1:1", Incarnation: incarnation, TTL: 30 * time.Second},
	}
}

func fixed(name string) wire.Registration {
	return wire.Registration{ID: health.ParseID(name), Spec: health.Spec{Address: "192.0.2.1:1", Static: true}}
}

// register fails the test if the registration is refused.
func (r *rig) register(regs ...wire.Registration) *health.Spec {
	r.t.Helper()
	specs, err := r.Register(r.t.Context(), regs)
	if err != nil {
		r.t.Fatal(err)
	}
	return specs[0]
}

// tryRegister returns the error of a registration.
func (r *rig) tryRegister(regs ...wire.Registration) error {
	_, err := r.Register(r.t.Context(), regs)
	return err
}

// deregister removes an instance as its process, or with lease 0 as a person.
func (r *rig) deregister(name string, lease uint64) error {
	_, err := r.Deregister(r.t.Context(), health.ParseID(name), lease, false, wire.Registrant{})
	return err
}

// says gives the registry a status that was received from an instance.
func (r *rig) says(name string, lease uint64, s health.Status) {
	r.t.Helper()
	r.see(name, lease, mesh.Event{Kind: mesh.EventReport, Report: mesh.Report{Source: health.SourceMeshhealth, Status: s}})
}

func (r *rig) see(name string, lease uint64, ev mesh.Event) {
	r.t.Helper()
	ev.ID, ev.Lease = health.ParseID(name), lease
	if err := r.Observe(r.t.Context(), ev, time.Time{}); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

func (r *rig) entry(name string) *feed.Entry {
	r.t.Helper()
	synctest.Wait()
	e, ok := r.Feed().Get(health.ParseID(name))
	if !ok {
		r.t.Fatalf("%s is not there", name)
	}
	return e
}

// is compares the published status; "" is the coordinator itself.
func (r *rig) is(name string, want health.Status) {
	r.t.Helper()
	if e := r.entry(name); e.Status != want {
		r.t.Errorf("%q is %v (%v %s), want %v", name, e.Status, e.Cause, e.Reason, want)
	}
}

func (r *rig) gone(name string) {
	r.t.Helper()
	synctest.Wait()
	if e, ok := r.Feed().Get(health.ParseID(name)); ok {
		r.t.Errorf("%s is there: %+v", name, e.State)
	}
}

// later calls f in a goroutine. The returned function waits for its result.
func later(f func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error { return <-done }
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}
