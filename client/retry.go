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

// attempts is how often one unary call is tried in all.
const attempts = 3

// idempotent are the calls that may be repeated although the first one may
// have been carried out. Overrides are not among them: one that is set twice
// lasts longer than was asked for.
var idempotent = map[string]bool{
	pb.RegistryService_Register_FullMethodName:     true,
	pb.RegistryService_Renew_FullMethodName:        true,
	pb.RegistryService_Deregister_FullMethodName:   true,
	pb.HealthService_Check_FullMethodName:          true,
	pb.HealthService_List_FullMethodName:           true,
	pb.AdminService_Explain_FullMethodName:         true,
	pb.AdminService_ListTransitions_FullMethodName: true,
	pb.AdminService_ListOverrides_FullMethodName:   true,
	pb.AdminService_GetCoordinator_FullMethodName:  true,
}

// retrying returns the interceptor that tries unary calls again.
func retrying() grpc.UnaryClientInterceptor {
	again := retry.UnaryClientInterceptor(retry.WithMax(attempts))
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		t := trial{ctx: ctx, idempotent: idempotent[method]}
		own := []grpc.CallOption{retry.WithRetriable(t.retriable), retry.WithBackoff(t.pause)}
		return again(ctx, method, req, reply, cc, invoke, append(own, opts...)...)
	}
}

// trial is one call. The library hands the error to one function and asks
// another for the pause; this is what lies between.
type trial struct {
	ctx        context.Context
	idempotent bool
	back       backoff
	next       time.Duration
}

// retriable decides whether a failed attempt is followed by another, and
// after what pause. One that would not fit into the deadline is not waited
// for: the caller gets the error that tells more.
func (t *trial) retriable(err error) bool {
	if !t.again(err) {
		return false
	}
	t.next = t.back.next()
	if asked, ok := wire.RetryDelay(err); ok {
		t.next = max(t.next, asked)
	}
	deadline, bounded := t.ctx.Deadline()
	return t.next <= maxAsked && (!bounded || time.Until(deadline) > t.next)
}

func (t *trial) again(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable:
		return true
	case codes.ResourceExhausted:
		_, told := wire.RetryDelay(err)
		return told
	case codes.DeadlineExceeded:
		return t.idempotent && t.ctx.Err() == nil
	}
	return false
}

// pause returns the pause before the next attempt. After an attempt's own
// time-out the library does not ask retriable.
func (t *trial) pause(context.Context, uint) time.Duration {
	next := t.next
	if next == 0 {
		next = t.back.next()
	}
	t.next = 0
	return next
}
