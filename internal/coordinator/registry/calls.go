package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/core"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// catchUp is the longest time for which a reader of the history waits until the store holds all
// transitions that were published before the call.
const catchUp = 1 * time.Second

// Observe passes evidence to the owner, which is the goroutine that owns the mesh. Observe waits
// while the owner's inbox is full. If ctx ends during this wait, Observe returns the error of ctx.
//
// If the evidence is that no answer came, since is the time at which the wait for the answer began.
// For other evidence, since is zero. The owner subtracts the time in which it was late itself from
// this wait.
func (r *Registry) Observe(ctx context.Context, ev mesh.Event, since time.Time) error {
	return r.send(ctx, core.Input{Event: ev, Since: since})
}

// Register adds or updates all instances in regs, or none of them. It returns their specs, in
// the same order, when they are durable and published. A registration that is equal to the
// existing one changes nothing, and the instance keeps its lease.
func (r *Registry) Register(ctx context.Context, regs []wire.Registration) ([]*health.Spec, error) {
	c := &core.Command{Register: regs}
	if err := r.command(ctx, c); err != nil {
		return nil, err
	}
	return c.Specs, nil
}

// Deregister removes an instance. A process passes its lease. A person passes the lease 0, and may
// remove a static instance, or an instance whose process does not renew its lease. With force, a
// person may remove any instance. The result registersAgain is true if the configuration or the
// process of the instance will register the name again.
func (r *Registry) Deregister(ctx context.Context, id health.ID, lease uint64, force bool, by wire.Registrant) (registersAgain bool, err error) {
	d := &core.Deregistration{ID: id, Lease: lease, Force: force, By: by}
	if err := r.command(ctx, &core.Command{Deregister: d}); err != nil {
		return false, err
	}
	return d.Returns, nil
}

// Configure replaces the registrations of the configuration. It registers regs, and removes the
// instances that an earlier configuration has registered and that are not in regs. It returns when
// these changes are published. If the store fails, the changes take effect too, and they are stored
// when the store works again.
//
// Another process may register under a name in regs. When the instance of this process was removed,
// or its lease has expired, the registration in regs takes effect again.
func (r *Registry) Configure(ctx context.Context, regs []wire.Registration) error {
	return r.command(ctx, &core.Command{Configure: &core.Configuration{Registrations: regs}})
}

// SetOverride forces the status of every instance that matches scope, also of
// instances that are registered later. It returns when the override is durable and published.
func (r *Registry) SetOverride(ctx context.Context, scope health.Scope, o *health.Override) error {
	return r.command(ctx, &core.Command{Override: &core.OverrideChange{Scope: scope, Override: o}})
}

// ClearOverride ends the override of scope. author and reason are written to the history.
func (r *Registry) ClearOverride(ctx context.Context, scope health.Scope, author, reason string) error {
	return r.command(ctx, &core.Command{Override: &core.OverrideChange{Scope: scope, Author: author, Reason: reason}})
}

// Overrides returns all overrides, ordered by scope.
func (r *Registry) Overrides(ctx context.Context) ([]mesh.ActiveOverride, error) {
	var all []mesh.ActiveOverride
	if err := r.ask(ctx, core.Input{Query: func(m *mesh.Mesh) { all = m.Overrides() }}); err != nil {
		return nil, err // the variable all is not returned, because the owner may still write to it
	}
	return all, nil
}

// Inspect returns what the mesh knows about a name, see [mesh.Mesh.Inspect]. ok is false if the name is
// unknown. Inspect waits until the owner has published the changes before it, and ends with ctx.
func (r *Registry) Inspect(ctx context.Context, id health.ID, members []health.ID) (_ mesh.Inspection, ok bool, err error) {
	var (
		v     mesh.Inspection
		found bool
	)
	query := func(m *mesh.Mesh) { v, found = m.Inspect(id, time.Now(), members) }
	if err := r.ask(ctx, core.Input{Query: query}); err != nil {
		return mesh.Inspection{}, false, err // v is not returned, because the owner may still write to it
	}
	return v, found, nil
}

// Transitions reads one page of the history. The history contains all transitions that
// were published before the call, if the store accepts them within one second.
func (r *Registry) Transitions(ctx context.Context, q store.Query) (store.Page, error) {
	r.writeWaiting(ctx)
	page, err := r.cfg.Store.Transitions(ctx, q)
	if err != nil {
		return store.Page{}, fmt.Errorf("%w: %v", domain.ErrStore, err)
	}
	return page, nil
}

// writeWaiting makes the owner commit the waiting transitions, and waits for the commit for at most
// a second (the constant catchUp). It does nothing if the queue of commands is at least half full.
func (r *Registry) writeWaiting(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	_ = r.command(ctx, &core.Command{MaxWaiting: core.MaxCommands / 2})
}

// Retune replaces the policies of all services by those in services, which must be valid. It
// returns when the changes that follow from the new policies are published.
func (r *Registry) Retune(ctx context.Context, services map[string]health.ServicePolicy) error {
	if services == nil {
		services = map[string]health.ServicePolicy{}
	}
	return r.ask(ctx, core.Input{Retune: services})
}

// SetTrouble makes the coordinator itself DEGRADED for a reason outside the store, which replaces an earlier
// one. An empty reason ends it. SetTrouble returns when the change is published.
func (r *Registry) SetTrouble(ctx context.Context, reason string) error {
	return r.ask(ctx, core.Input{Trouble: &reason})
}

// Renew renews a lease, and returns the new duration of the lease as ttl. unreachable is
// true if the coordinator cannot reach the instance, so that it should push its status. The error wraps
// domain.ErrNotAllowed if by may renew only its own instances, and another identity has registered this one.
func (r *Registry) Renew(ctx context.Context, id health.ID, lease uint64, by wire.Registrant) (ttl time.Duration, unreachable bool, err error) {
	q := &core.Renewal{ID: id, Lease: lease, By: by}
	if err := r.ask(ctx, core.Input{Renewal: q}); err != nil {
		return 0, false, err
	}
	return q.TTL, q.Unreachable, q.Err
}

// command passes c to the owner, and waits until c is durable and published, or refused.
func (r *Registry) command(ctx context.Context, c *core.Command) error {
	if err := r.await(ctx, core.Input{Command: c}, r.owner.ended); err != nil {
		return err
	}
	return c.Err
}

// ask passes an input to the owner, and waits until it was applied and its changes were
// published.
func (r *Registry) ask(ctx context.Context, in core.Input) error {
	return r.await(ctx, in, r.owner.closed)
}

// await passes an input to the owner and waits for the reply. If the channel stopping is closed and
// no reply has come, await returns domain.ErrStopping.
func (r *Registry) await(ctx context.Context, in core.Input, stopping <-chan struct{}) error {
	done := make(chan struct{})
	in.Reply = func() { close(done) }
	if err := r.send(ctx, in); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-stopping:
		select {
		case <-done: // the reply has come too, and takes precedence
			return nil
		default:
			return domain.ErrStopping
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Registry) send(ctx context.Context, in core.Input) error {
	select {
	case r.owner.inbox <- in:
		return nil
	case <-r.owner.closed:
		return domain.ErrStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}
