package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// State is what a Registration is doing, for logs.
type State string

// The states.
const (
	// StateRegistering: not acknowledged yet, or the coordinator has forgotten
	// the lease.
	StateRegistering State = "registering"
	// StateRegistered: there is a lease, and it is renewed.
	StateRegistered State = "registered"
	// StateReporting: and the status is pushed, because the coordinator cannot
	// reach the instance.
	StateReporting State = "reporting"
	// StateEnded: it is over; Err says why.
	StateEnded State = "ended"
)

// closeTimeout bounds Close, whatever its context allows.
const closeTimeout = 10 * time.Second

// errStopped is the cause of a Registration's end by its Close.
var errStopped = errors.New("the registration is closed")

// Registration keeps one instance registered until it is closed.
type Registration struct {
	c    *Client
	inst Instance

	// loop ends with Close at once; calls, for what should rather be waited
	// for than be lost, when Close gives up.
	loop, calls context.Context
	stop, abort context.CancelCauseFunc
	first       chan struct{} // closed by the first acknowledgement
	done        chan struct{}

	mu    sync.Mutex
	state State
	lease *pb.Lease // nil: none that we know of
	err   error

	closing sync.Once
	closed  error
}

func (c *Client) newRegistration(i Instance) *Registration {
	i.Labels = maps.Clone(i.Labels)
	r := &Registration{
		c: c, inst: i, state: StateRegistering,
		first: make(chan struct{}), done: make(chan struct{}),
	}
	r.loop, r.stop = context.WithCancelCause(c.ctx)
	r.calls, r.abort = context.WithCancelCause(c.ctx)
	return r
}

// Register registers an instance and returns when that is durable. It tries
// until ctx ends, unless the coordinator refuses it for good. From then on the
// Registration looks after itself.
//
// A ctx that ends too early may leave an instance behind that its lease
// removes; registering it again with the same Client takes it up.
//
// One name has one Registration at a time: a second one of the same Client
// shares the lease of the first, and loses it when that is closed.
func (c *Client) Register(ctx context.Context, i Instance) (*Registration, error) {
	if err := i.validate(); err != nil {
		return nil, fmt.Errorf("client: Instance: %w", err)
	}
	r := c.newRegistration(i)
	within, leave := c.within(ctx)
	defer leave()
	lease, err := r.acquire(within, within, refusal)
	if err == nil {
		err = c.start(func() { r.run(lease) })
	}
	if err != nil {
		r.end(err)
		return nil, fmt.Errorf("client: registering %s: %w", i.id(), err)
	}
	return r, nil
}

// RegisterAsync does the same in the background, for services that must start
// whether there is a coordinator or not. What would be an error of Register is
// in Err, once Done is closed.
func (c *Client) RegisterAsync(i Instance) *Registration {
	r := c.newRegistration(i)
	err := i.validate()
	if err != nil {
		err = fmt.Errorf("client: Instance: %w", err)
	} else {
		err = c.start(func() { r.run(nil) })
	}
	if err != nil {
		r.end(err)
	}
	return r
}

// Registered is closed when the instance has been acknowledged once.
func (r *Registration) Registered() <-chan struct{} { return r.first }

// Done is closed when the registration is over: by its Close, by another
// process that took over the name, or by a refusal.
func (r *Registration) Done() <-chan struct{} { return r.done }

// Err returns why the registration is over: ErrSuperseded, ErrClosed if the
// Client was closed, or how it was refused. It is nil before the end, and
// after Close.
func (r *Registration) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// State returns what the registration is doing.
func (r *Registration) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Close deregisters the instance and returns when nothing of the registration
// runs any more. It takes as long as ctx allows, 10 s at most; if the
// coordinator could not be told, it says so, and the lease will run out. Only
// the first call does anything; the others return the same.
func (r *Registration) Close(ctx context.Context) error {
	r.closing.Do(func() { r.closed = r.close(ctx) })
	return r.closed
}

func (r *Registration) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	r.stop(errStopped)
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	r.abort(errStopped)
	<-r.done
	return r.deregister(ctx)
}

// deregister takes back what is ours, if anything is.
func (r *Registration) deregister(ctx context.Context) error {
	lease := r.held(nil)
	if lease == nil {
		return nil
	}
	_, err := r.c.registry.Deregister(ctx, &pb.DeregisterRequest{
		Service: r.inst.Service, Instance: r.inst.Instance, LeaseId: lease.GetLeaseId(),
	})
	err = ours(err)
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrLeaseUnknown), errors.Is(err, ErrSuperseded):
		r.c.log.Info("deregistered", "name", r.inst.id().String())
		return nil
	}
	return fmt.Errorf("client: deregistering %s: %w", r.inst.id(), err)
}

// held notes which lease is ours now, nil for none, and returns the one
// before.
func (r *Registration) held(lease *pb.Lease) *pb.Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.lease
	r.lease = lease
	return before
}

func (r *Registration) setState(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
}

// end notes why it is over. An end by Close is no error.
func (r *Registration) end(err error) {
	switch {
	case errors.Is(context.Cause(r.loop), errStopped):
		err = nil
	case r.c.ctx.Err() != nil:
		err = ErrClosed
	}
	r.mu.Lock()
	r.state, r.err = StateEnded, err
	r.mu.Unlock()
	r.stop(err)
	r.abort(err)
	close(r.done)
}
