package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/delay"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// registerTimeout is the longest time of one attempt to register. A coordinator with a slow store
// needs some time to answer, but a dead connection must be detected.
const registerTimeout = 10 * time.Second

// run keeps the instance registered until the Registration ends. lease is the present lease,
// or nil if the instance is not registered yet.
func (r *Registration) run(lease *pb.Lease) {
	err := r.keepRegistered(lease)
	if errors.Is(err, ErrSuperseded) {
		r.swapLease(nil)
	}
	r.end(err)
}

func (r *Registration) keepRegistered(lease *pb.Lease) error {
	giveUp := isInvalid
	for {
		if lease == nil {
			var err error
			if lease, err = r.acquire(r.loop, r.calls, giveUp); err != nil {
				return err
			}
		}
		// From now on, a registration that the coordinator calls invalid is tried again.
		// The coordinator has accepted it once, so the configuration of the coordinator is
		// probably wrong only for some time.
		giveUp = func(error) bool { return false }
		if err := r.keepRenewed(lease); !errors.Is(err, ErrLeaseUnknown) {
			return err
		}
		r.c.log.Warn("the coordinator has forgotten the registration", "name", r.inst.id().String())
		r.swapLease(nil)
		r.setState(StateRegistering)
		lease = nil
	}
}

// isInvalid reports whether the coordinator has found a fault in the fields of a registration.
func isInvalid(err error) bool { return status.Code(err) == codes.InvalidArgument }

// acquire tries to register until the coordinator accepts, ctx ends, or giveUp returns true for an
// error. calls is the context of the gRPC calls.
func (r *Registration) acquire(ctx, calls context.Context, giveUp func(error) bool) (*pb.Lease, error) {
	back := r.backoff()
	var failing outage
	for {
		lease, err := r.register(calls)
		if err == nil {
			r.accept(lease)
			return lease, nil
		}
		if ctx.Err() == nil && giveUp(err) {
			return nil, err
		}
		failing.warn(r, "cannot register; trying again", err)
		if !wait(ctx, back.pauseAfter(err), nil) {
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// register makes one attempt to register. The caller makes further attempts, and logs failures.
func (r *Registration) register(ctx context.Context) (*pb.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	began := time.Now()
	resp, err := r.c.registry.Register(ctx,
		&pb.RegisterRequest{Registrations: []*pb.Registration{r.inst.registration(r.c)}}, retry.Disable())
	if err != nil {
		r.c.closeAfterTimeout(began, registerTimeout, err)
		return nil, domainError(err)
	}
	if n := len(resp.GetLeases()); n != 1 {
		return nil, fmt.Errorf("the coordinator answered with %d leases, want 1", n)
	}
	return resp.GetLeases()[0], nil
}

// closeAfterTimeout closes silent connections if err says that a call has timed out, and the call
// has lasted for at least the duration `minimum`. began is the time at which the call began.
func (c *Client) closeAfterTimeout(began time.Time, minimum time.Duration, err error) {
	if waited := time.Since(began); status.Code(err) == codes.DeadlineExceeded && waited >= minimum {
		c.connections.closeSilent(waited)
	}
}

// accept stores a new lease and marks the Registration as registered.
func (r *Registration) accept(lease *pb.Lease) {
	r.swapLease(lease)
	r.setState(StateRegistered)
	select {
	case <-r.first:
	default:
		close(r.first)
	}
	r.c.log.Info("registered", "name", r.inst.id().String(), "address", lease.GetAddress())
}

// keepRenewed renews the lease until the Registration ends, or until a renewal fails with
// ErrLeaseUnknown or ErrSuperseded. It returns the reason as an error. After other errors it tries
// again.
func (r *Registration) keepRenewed(lease *pb.Lease) error {
	reports := newReporter(r, lease)
	defer reports.stop()
	ttl := leaseTime(lease.GetTtl().AsDuration())
	back := r.backoff()
	var failing outage
	pause := renewPause(ttl)
	for wait(r.loop, pause, reports.kick) {
		resp, err := r.renew(lease, ttl)
		switch {
		case err == nil:
			back.reset()
			failing.end(r, "renewals work again")
			ttl = leaseTime(resp.GetTtl().AsDuration())
			reports.setUnreachable(resp.GetUnreachable())
			pause = renewPause(ttl)
		case errors.Is(err, ErrLeaseUnknown), errors.Is(err, ErrSuperseded):
			return err
		case isRefusal(err):
			// Only a change of the policy or of the own identity helps, so there is no hurry. If the coordinator
			// removes the instance before, the lease is unknown, and the instance registers again.
			failing.warn(r, "the coordinator refuses to renew the lease; use the identity that has registered the instance, "+
				"or change the access policy; trying again", err)
			pause = renewPause(ttl)
		default:
			failing.warn(r, "cannot renew; trying again", err)
			pause = back.pauseAfter(err)
		}
	}
	return context.Cause(r.loop)
}

func (r *Registration) renew(lease *pb.Lease, ttl time.Duration) (*pb.RenewResponse, error) {
	once := min(5*time.Second, ttl/9)
	ctx, cancel := context.WithTimeout(r.loop, ttl/3)
	defer cancel()
	began := time.Now()
	resp, err := r.c.registry.Renew(ctx, &pb.RenewRequest{
		Service: r.inst.Service, Instance: r.inst.Instance, LeaseId: lease.GetLeaseId(),
	}, retry.WithPerRetryTimeout(once))
	r.c.closeAfterTimeout(began, once, err)
	return resp, domainError(err)
}

// backoff returns a backoff whose pauses are at most a third of the lease.
func (r *Registration) backoff() backoff {
	return backoff{limit: min(maxBackoff, leaseTime(r.inst.TTL)/3)}
}

// leaseTime returns ttl, the length of a lease, or the nearest allowed value. 0 means the default.
// Without the lower bound, a wrong value would cause renewals without a pause between them.
func leaseTime(ttl time.Duration) time.Duration {
	if ttl == 0 {
		return wire.DefaultTTL
	}
	return min(max(ttl, wire.MinTTL), wire.MaxTTL)
}

// renewPause returns the pause until the next renewal of a lease that lasts for ttl. The pause is
// random, between 80 % and 100 % of a third of ttl. So instances do not all renew at the same time.
func renewPause(ttl time.Duration) time.Duration {
	third := ttl / 3
	return delay.Between(third*4/5, third, rand.Float64()) // #nosec G404 -- a delay
}

// outage is a series of failures. It logs equal failures in the series only once.
type outage struct {
	active bool
	code   codes.Code // gRPC code and reason of the last failure that was logged
	reason string
}

func (o *outage) warn(r *Registration, what string, err error) {
	code, reason := status.Code(err), wire.ReasonOf(err)
	if o.active && o.code == code && o.reason == reason {
		return
	}
	o.active, o.code, o.reason = true, code, reason
	attrs := []any{"name", r.inst.id().String()}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	r.c.log.Warn(what, attrs...)
}

func (o *outage) end(r *Registration, what string) {
	if o.active {
		r.c.log.Info(what, "name", r.inst.id().String())
	}
	o.active = false
}
