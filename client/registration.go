package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// State says what a Registration does at the moment. It is for logs and tests.
type State string

// The states of a Registration.
const (
	// StateRegistering means that the coordinator has not accepted the registration yet, or
	// does not know the lease any more.
	StateRegistering State = "registering"
	// StateRegistered means that the Registration has a lease and renews it.
	StateRegistered State = "registered"
	// StateReporting means that the Registration also pushes the status, because the
	// coordinator cannot reach the instance.
	StateReporting State = "reporting"
	// StateEnded means that the Registration has ended. Err says why.
	StateEnded State = "ended"
)

// closeTimeout is the longest time that Registration.Close waits, even if its context allows more.
const closeTimeout = 10 * time.Second

// errStopped is the cause with which Registration.Close ends the context of its goroutine.
var errStopped = errors.New("the registration is closed")

// Registration keeps one instance registered until it is closed. Register and RegisterAsync
// make one.
type Registration struct {
	c    *Client
	inst Instance

	// loop is the context of the goroutine, and calls is the context of each gRPC call. Close
	// ends loop at once. It ends calls only after it has waited for a call in progress, so that
	// this call can be completed.
	loop, calls context.Context
	stop, abort context.CancelCauseFunc
	first       chan struct{} // closed when the coordinator accepts the registration for the first time
	done        chan struct{} // closed when the Registration has ended

	mu    sync.Mutex
	state State
	lease *pb.Lease // present lease; nil if there is none
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

// Register registers an instance, and returns when the coordinator has stored the registration.
// After a failure, Register tries again until ctx ends. It does not try again after
// INVALID_ARGUMENT, UNIMPLEMENTED, PERMISSION_DENIED and UNAUTHENTICATED. The returned Registration
// renews its lease until it ends.
//
// If ctx ends during a call, the instance may be registered although Register returns an error. In
// this case the coordinator removes the instance when its lease ends, and the same Client can
// register it again.
//
// Do not make two Registrations of one name at the same time. A second Registration with the same
// Client and Feed gets the same lease. When the first Registration is closed, the second one loses
// this lease.
func (c *Client) Register(ctx context.Context, i Instance) (*Registration, error) {
	if err := i.complete(); err != nil {
		return nil, err
	}
	r := c.newRegistration(i)
	within, leave := c.withClient(ctx)
	defer leave()
	lease, err := r.acquire(within, within, isRefusal)
	if err == nil {
		err = c.runJoined(func() { r.run(lease) })
	}
	if err != nil {
		r.end(err)
		return nil, fmt.Errorf("client: registering %s: %w", i.id(), err)
	}
	return r, nil
}

// RegisterAsync registers an instance in the background. It is for services that must also start
// without a coordinator. After a failure it tries again until the Registration is closed. But if
// the instance is not valid, or the Client is closed, Done is closed and Err returns the error.
func (c *Client) RegisterAsync(i Instance) *Registration {
	err := i.complete()
	r := c.newRegistration(i)
	if err == nil {
		err = c.runJoined(func() { r.run(nil) })
	}
	if err != nil {
		r.end(err)
	}
	return r
}

// Registered returns a channel that is closed when the coordinator has accepted the
// instance for the first time.
func (r *Registration) Registered() <-chan struct{} { return r.first }

// Done returns a channel that is closed when the Registration ends. The reasons are a call of
// Close, another process that registers under the same name, or a refusal by the coordinator.
func (r *Registration) Done() <-chan struct{} { return r.done }

// Err returns why the Registration has ended: ErrSuperseded, ErrClosed if the Client was
// closed, or the refusal of the coordinator. It is nil before the end, and after Close.
func (r *Registration) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// State returns what the Registration does at the moment.
func (r *Registration) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Close deregisters the instance, and returns when the goroutine of the Registration has ended.
// Close waits until ctx ends, but at most 10 s. An error means that the coordinator has not
// confirmed the removal. In this case the coordinator removes the instance when the lease ends.
// Further calls do nothing and return the same error.
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

// deregister removes the instance from the coordinator, if the instance has a lease.
func (r *Registration) deregister(ctx context.Context) error {
	lease := r.swapLease(nil)
	if lease == nil {
		return nil
	}
	_, err := r.c.registry.Deregister(ctx, &pb.DeregisterRequest{
		Service: r.inst.Service, Instance: r.inst.Instance, LeaseId: lease.GetLeaseId(),
	})
	err = domainError(err)
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrLeaseUnknown), errors.Is(err, ErrSuperseded):
		r.c.log.Info("deregistered", "name", r.inst.id().String())
		return nil
	}
	return fmt.Errorf("client: deregistering %s: %w", r.inst.id(), err)
}

// swapLease sets the present lease and returns the previous one. nil means no lease.
func (r *Registration) swapLease(lease *pb.Lease) *pb.Lease {
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

// end marks the Registration as ended, and stores and logs err, the reason. It does not log an end
// that Close or the context of Register has caused.
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
	if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		r.c.log.Error("the registration has ended; this instance is not registered any more",
			"name", wire.CleanTo(r.inst.id().String(), wire.MaxFullName), "error", err)
	}
	r.stop(err)
	r.abort(err)
	close(r.done)
}
