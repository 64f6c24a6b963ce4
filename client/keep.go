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
	"github.com/meshhealth/meshhealth/internal/wire"
)

// registerTimeout is how long one attempt to register may take: the store may
// be slow, but a connection may also be dead.
const registerTimeout = 10 * time.Second

// run keeps the instance registered. lease is the one it has already, if any.
func (r *Registration) run(lease *pb.Lease) {
	err := r.keep(lease)
	if errors.Is(err, ErrSuperseded) {
		r.held(nil)
		r.c.log.Error("registration is over", "name", r.inst.id().String(), "error", err)
	}
	r.end(err)
}

func (r *Registration) keep(lease *pb.Lease) error {
	giveUp := unacceptable
	for {
		if lease == nil {
			var err error
			if lease, err = r.acquire(r.loop, r.calls, giveUp); err != nil {
				return err
			}
		}
		// What was accepted once may be again: the coordinator may have been
		// replaced by one that is set up wrongly at the moment.
		giveUp = func(error) bool { return false }
		if err := r.renewing(lease); !errors.Is(err, ErrLeaseUnknown) {
			return err
		}
		r.c.log.Warn("the coordinator has forgotten the registration", "name", r.inst.id().String())
		r.held(nil)
		r.setState(StateRegistering)
		lease = nil
	}
}

// unacceptable reports whether what was to be registered is wrong in itself.
func unacceptable(err error) bool { return status.Code(err) == codes.InvalidArgument }

// acquire tries to register until that is acknowledged, until stop ends, or
// until giveUp says that it is of no use. Calls are bound to call.
func (r *Registration) acquire(stop, call context.Context, giveUp func(error) bool) (*pb.Lease, error) {
	back := r.backoff()
	var failing outage
	for {
		lease, err := r.register(call)
		if err == nil {
			r.acknowledged(lease)
			return lease, nil
		}
		if stop.Err() == nil && giveUp(err) {
			return nil, err
		}
		failing.warn(r, "cannot register; trying on", err)
		if !wait(stop, back.after(err), nil) {
			return nil, fmt.Errorf("%w: %w", context.Cause(stop), err)
		}
	}
}

func (r *Registration) register(ctx context.Context) (*pb.Lease, error) {
	began := time.Now()
	resp, err := r.c.registry.Register(ctx,
		&pb.RegisterRequest{Registrations: []*pb.Registration{r.inst.registration(r.c.incarnation)}},
		retry.WithPerRetryTimeout(registerTimeout))
	if err != nil {
		r.c.waited(began, registerTimeout, err)
		return nil, ours(err)
	}
	if n := len(resp.GetLeases()); n != 1 {
		return nil, fmt.Errorf("the coordinator answered with %d leases, want 1", n)
	}
	return resp.GetLeases()[0], nil
}

// waited cuts the connection if a call has waited in vain and nothing else was
// heard on it meanwhile.
func (c *Client) waited(began time.Time, least time.Duration, err error) {
	if waited := time.Since(began); status.Code(err) == codes.DeadlineExceeded && waited >= least {
		c.lines.cut(waited)
	}
}

func (r *Registration) acknowledged(lease *pb.Lease) {
	r.held(lease)
	r.setState(StateRegistered)
	select {
	case <-r.first:
	default:
		close(r.first)
	}
	r.c.log.Info("registered", "name", r.inst.id().String(), "address", lease.GetAddress())
}

// renewing renews the lease until that is of no use any more, and says why.
// No other error ends it.
func (r *Registration) renewing(lease *pb.Lease) error {
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
			failing.over(r, "renewals work again")
			ttl = leaseTime(resp.GetTtl().AsDuration())
			reports.wanted(resp.GetUnreachable())
			pause = renewPause(ttl)
		case errors.Is(err, ErrLeaseUnknown), errors.Is(err, ErrSuperseded):
			return err
		default:
			failing.warn(r, "cannot renew; trying on", err)
			pause = back.after(err)
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
	r.c.waited(began, once, err)
	return resp, ours(err)
}

// backoff returns one that never pauses longer than a third of the lease.
func (r *Registration) backoff() backoff {
	return backoff{most: min(maxBackoff, leaseTime(r.inst.TTL)/3)}
}

// leaseTime returns for how long a lease is good. What makes no sense is not
// believed, or it would make us renew without a pause.
func leaseTime(said time.Duration) time.Duration {
	if said == 0 {
		return wire.DefaultTTL
	}
	return min(max(said, wire.MinTTL), wire.MaxTTL)
}

// renewPause returns when to renew: at a third of the lease, and a little
// earlier at random, so that instances started together part.
func renewPause(ttl time.Duration) time.Duration {
	third := ttl / 3
	return third - rand.N(third/5)
}

// outage keeps a row of the same failure from filling the log.
type outage struct{ on bool }

func (o *outage) warn(r *Registration, what string, err error) {
	attrs := []any{"name", r.inst.id().String()}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	if !o.on {
		r.c.log.Warn(what, attrs...)
	}
	o.on = true
}

func (o *outage) over(r *Registration, what string) {
	if o.on {
		r.c.log.Info(what, "name", r.inst.id().String())
	}
	o.on = false
}
