package wire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The errors of the domain. Wrap them with what they are about; GRPC makes
// codes of them.
var (
	// ErrNotFound: the name is not known here.
	ErrNotFound = errors.New("not found")
	// ErrLeaseUnknown: no such lease; the instance must register again.
	ErrLeaseUnknown = errors.New("lease unknown: register again")
	// ErrSuperseded: another process has taken over the instance's name.
	ErrSuperseded = errors.New("superseded by another process of the same name")
	// ErrStore: the store does not take records at the moment.
	ErrStore = errors.New("the store does not take records at the moment")
	// ErrStopping: the server is about to stop.
	ErrStopping = errors.New("the server is stopping")
	// ErrLimit: a limit is reached.
	ErrLimit = errors.New("limit reached")
	// ErrNotAllowed: the caller may not do this.
	ErrNotAllowed = errors.New("not allowed")
	// ErrNotStatic: the lease's owner alone may do this.
	ErrNotStatic = errors.New("the instance has a lease, which must be shown")
	// ErrLater: a later version does this.
	ErrLater = errors.New("not implemented by this version")
)

// Domain is the domain of every ErrorInfo.
const Domain = "meshhealth"

// The reasons in ErrorInfo. They are stable.
const (
	ReasonNotFound     = "NOT_FOUND"
	ReasonLeaseUnknown = "LEASE_UNKNOWN"
	ReasonSuperseded   = "SUPERSEDED"
	ReasonStore        = "STORE"
	ReasonStopping     = "STOPPING"
	ReasonLimit        = "LIMIT"
	ReasonNotAllowed   = "NOT_ALLOWED"
	ReasonLeased       = "LEASED"
	ReasonLater        = "NOT_IMPLEMENTED"
)

// codeOf is how each error of the domain is answered. retry 0 means the caller
// is not told to come again.
var codeOf = []struct {
	err    error
	code   codes.Code
	reason string
	retry  time.Duration
}{
	{ErrLeaseUnknown, codes.NotFound, ReasonLeaseUnknown, 0},
	{ErrNotFound, codes.NotFound, ReasonNotFound, 0},
	{ErrSuperseded, codes.FailedPrecondition, ReasonSuperseded, 0},
	{ErrNotStatic, codes.FailedPrecondition, ReasonLeased, 0},
	{ErrStore, codes.Unavailable, ReasonStore, 2 * time.Second},
	{ErrStopping, codes.Unavailable, ReasonStopping, time.Second},
	{ErrLimit, codes.ResourceExhausted, ReasonLimit, 10 * time.Second},
	{ErrNotAllowed, codes.PermissionDenied, ReasonNotAllowed, 0},
	{ErrLater, codes.Unimplemented, ReasonLater, 0},
}

// GRPC returns err as it goes over the wire. Errors that have a status already
// keep it; unknown ones are INTERNAL.
func GRPC(err error) error {
	if err == nil {
		return nil
	}
	for _, row := range codeOf {
		if errors.Is(err, row.err) {
			return answer(err, row.code, row.reason, row.retry)
		}
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Internal, Clean(err.Error()))
}

func answer(err error, code codes.Code, reason string, retry time.Duration) error {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: Domain, Reason: reason}}
	if retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	return withDetails(status.New(code, Clean(err.Error())), details...)
}

func withDetails(st *status.Status, details ...protoadapt.MessageV1) error {
	if detailed, err := st.WithDetails(details...); err == nil {
		st = detailed
	}
	return st.Err()
}

// ReasonOf returns the reason in err's ErrorInfo, "" if there is none of ours.
func ReasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info.GetReason()
		}
	}
	return ""
}

// RetryDelay returns after what time the answering side wants the call again,
// and whether it said so.
func RetryDelay(err error) (time.Duration, bool) {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}

// FromGRPC returns what a client got as an error of the domain, where it is
// one, with the message.
func FromGRPC(err error) error {
	reason := ReasonOf(err)
	for _, row := range codeOf {
		if row.reason == reason {
			return fmt.Errorf("%w (%s)", row.err, status.Convert(err).Message())
		}
	}
	return err
}
