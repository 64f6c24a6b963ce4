package registry

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/meshhealth/meshhealth/coordinator/store"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Observe hands evidence to the owner. It waits when the owner is behind, and
// returns ctx's error if that takes too long.
//
// since is when the wait began whose end without an answer the evidence tells
// of, zero for other evidence: it is dropped if we were late ourselves
// meanwhile.
func (r *Registry) Observe(ctx context.Context, ev health.Event, since time.Time) error {
	return r.send(ctx, message{event: ev, since: since})
}

func (r *Registry) send(ctx context.Context, m message) error {
	select {
	case r.owner.inbox <- m:
		return nil
	case <-r.owner.stopped:
		return wire.ErrStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Register adds or updates instances, all or none. It returns their specs, in
// the same order, when they are durable and published. The same registration
// again changes nothing and keeps its lease.
func (r *Registry) Register(ctx context.Context, regs []wire.Registration) ([]*health.Spec, error) {
	c := &command{register: regs}
	if err := r.scribe.do(ctx, c); err != nil {
		return nil, err
	}
	return c.specs, nil
}

// Deregister removes an instance; a leased one only with its lease.
func (r *Registry) Deregister(ctx context.Context, id health.ID, lease uint64) error {
	return r.scribe.do(ctx, &command{deregister: &deregistration{id: id, lease: lease}})
}

// Transitions reads the journal, with what was published so far, unless the
// store does not take that in time.
func (r *Registry) Transitions(ctx context.Context, q store.Query) (store.Page, error) {
	r.scribe.catchUp(ctx)
	page, err := r.cfg.Store.Transitions(ctx, q)
	if err != nil {
		return store.Page{}, fmt.Errorf("%w: %v", wire.ErrStore, err)
	}
	return page, nil
}

// Retune makes services how single services are judged from now on. The policy
// must be valid. It returns when what that changes is published.
func (r *Registry) Retune(ctx context.Context, services map[string]health.ServicePolicy) error {
	return r.ask(ctx, func(m *health.Mesh, dst []health.Change, now time.Time) []health.Change {
		return m.Retune(dst, now, services)
	})
}

// ask lets the owner do something with the mesh, which work must not keep.
func (r *Registry) ask(ctx context.Context, work func(*health.Mesh, []health.Change, time.Time) []health.Change) error {
	done := make(chan struct{})
	if err := r.send(ctx, message{work: work, done: done}); err != nil {
		return err
	}
	return r.answered(ctx, done)
}

// answered waits for the owner to close done.
func (r *Registry) answered(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-r.owner.stopped:
		return wire.ErrStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// renewal is a question to the owner, and its answer.
type renewal struct {
	id          health.ID
	lease       uint64
	unreachable bool
	ttl         time.Duration
	err         error
}

// Renew keeps a lease. It returns for how long, and whether the instance ought
// to push its status because it cannot be reached.
func (r *Registry) Renew(ctx context.Context, id health.ID, lease uint64) (ttl time.Duration, unreachable bool, err error) {
	q := &renewal{id: id, lease: lease}
	done := make(chan struct{})
	if err := r.send(ctx, message{renewal: q, done: done}); err != nil {
		return 0, false, err
	}
	if err := r.answered(ctx, done); err != nil {
		return 0, false, err
	}
	return q.ttl, q.unreachable, q.err
}

// renew answers a renewal.
func (o *owner) renew(dst []health.Change, now time.Time, q *renewal) []health.Change {
	s, ok := o.mesh.State(q.id)
	switch {
	case !ok || s.Spec == nil || s.Spec.Static:
		q.err = fmt.Errorf("%s: %w", q.id, wire.ErrLeaseUnknown)
		return dst
	case s.Spec.Lease != q.lease:
		q.err = fmt.Errorf("%s: %w", q.id, wire.ErrSuperseded)
		return dst
	}
	dst = o.mesh.Apply(dst, now, &health.Event{Kind: health.EventRenew, ID: q.id, Lease: q.lease})
	q.ttl, q.unreachable = s.Spec.TTL, s.Unreachable
	return dst
}

func randomLease() uint64 {
	var b [8]byte
	// Since Go 1.24 this does not fail: it ends the process instead.
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}
