package client

import (
	"context"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// maxAttempts is the largest number of attempts of one unary call.
const maxAttempts = 3

// idempotent has the methods that may be called again even if the coordinator has executed the
// first call. SetOverride is not one of them, because a second call would extend the override.
var idempotent = map[string]bool{
	pb.RegistryService_Register_FullMethodName:      true,
	pb.RegistryService_Renew_FullMethodName:         true,
	pb.RegistryService_Deregister_FullMethodName:    true,
	pb.HealthService_Check_FullMethodName:           true,
	pb.HealthService_List_FullMethodName:            true,
	pb.AdminService_Explain_FullMethodName:          true,
	pb.AdminService_ListTransitions_FullMethodName:  true,
	pb.AdminService_ListOverrides_FullMethodName:    true,
	pb.AdminService_GetCoordinator_FullMethodName:   true,
	pb.AdminService_ListRoutes_FullMethodName:       true,
	pb.AdminService_ListXDSClients_FullMethodName:   true,
	pb.AdminService_ListXDSResources_FullMethodName: true,
}

// retrying returns an interceptor that repeats failed unary calls.
func retrying() grpc.UnaryClientInterceptor {
	again := retry.UnaryClientInterceptor(retry.WithMax(maxAttempts))
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		c := retriedCall{ctx: ctx, idempotent: idempotent[method]}
		own := []grpc.CallOption{retry.WithRetriable(c.retriable), retry.WithBackoff(c.pause)}
		return again(ctx, method, req, reply, cc, invoke, append(own, opts...)...)
	}
}

// retriedCall is one call with all its attempts. After a failed attempt, the retry library calls
// retriable, and then pause to get the time until the next attempt.
type retriedCall struct {
	ctx        context.Context
	idempotent bool
	back       backoff
	next       time.Duration // pause before the next attempt; 0 if retriable has not computed it
}

// retriable reports whether the call is tried again, and computes the pause before the next
// attempt. It returns false if the pause would end after the deadline of the call. In this case the
// caller receives err, which is more useful than DEADLINE_EXCEEDED.
func (c *retriedCall) retriable(err error) bool {
	if !c.isTemporary(err) {
		return false
	}
	c.next = c.back.next()
	if asked, ok := wire.RetryDelay(err); ok {
		c.next = max(c.next, asked)
	}
	deadline, bounded := c.ctx.Deadline()
	return c.next <= maxRequestedPause && (!bounded || time.Until(deadline) > c.next)
}

// isTemporary reports whether another attempt may succeed after the error err.
func (c *retriedCall) isTemporary(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable:
		return true
	case codes.ResourceExhausted:
		_, hasDelay := wire.RetryDelay(err)
		return hasDelay
	case codes.DeadlineExceeded:
		return c.idempotent && c.ctx.Err() == nil
	}
	return false
}

// pause returns the pause before the next attempt. If an attempt has ended because of its own
// time-out, the retry library calls pause without calling retriable first.
func (c *retriedCall) pause(context.Context, uint) time.Duration {
	next := c.next
	if next == 0 {
		next = c.back.next()
	}
	c.next = 0
	return next
}
