package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshhealth/meshhealth/internal/domain"
)

// ErrUnread is the error of a call that the server has ended because the client does not read: no
// message could be sent for SendTimeout.
var ErrUnread = fmt.Errorf("%w: no message could be sent for %v, for the client does not read", domain.ErrLimit, SendTimeout)

// Domain is the value of the field domain in every ErrorInfo of this program.
const Domain = "meshhealth"

// The values of the field reason in ErrorInfo. Clients depend on them, so they never change.
const (
	ReasonNotFound     = "NOT_FOUND"
	ReasonLeaseUnknown = "LEASE_UNKNOWN"
	ReasonSuperseded   = "SUPERSEDED"
	ReasonStore        = "STORE"
	ReasonStopping     = "STOPPING"
	ReasonLimit        = "LIMIT"
	ReasonNotAllowed   = "NOT_ALLOWED"
	ReasonIdentity     = "IDENTITY"
	ReasonKey          = "KEY"
	ReasonLeased       = "LEASED"
	ReasonLater        = "NOT_IMPLEMENTED"
)

// codeOf maps each error of package domain to its gRPC code and reason. retry is the delay after
// which the caller should repeat the call; 0 means that the caller should not repeat it.
var codeOf = []struct {
	err    error
	code   codes.Code
	reason string
	retry  time.Duration
}{
	{domain.ErrLeaseUnknown, codes.NotFound, ReasonLeaseUnknown, 0},
	{domain.ErrNotFound, codes.NotFound, ReasonNotFound, 0},
	{domain.ErrSuperseded, codes.FailedPrecondition, ReasonSuperseded, 0},
	{domain.ErrLeased, codes.FailedPrecondition, ReasonLeased, 0},
	{domain.ErrStore, codes.Unavailable, ReasonStore, 2 * time.Second},
	{domain.ErrStopping, codes.Unavailable, ReasonStopping, time.Second},
	{domain.ErrLimit, codes.ResourceExhausted, ReasonLimit, 10 * time.Second},
	{domain.ErrNotAllowed, codes.PermissionDenied, ReasonNotAllowed, 0},
	{domain.ErrIdentity, codes.Unauthenticated, ReasonIdentity, 0},
	{domain.ErrKey, codes.PermissionDenied, ReasonKey, 0},
	{domain.ErrLater, codes.Unimplemented, ReasonLater, 0},
}

// GRPC returns the gRPC error for err. An error that already has a gRPC status keeps this status.
// Any other error that is not in codeOf becomes INTERNAL.
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

// ReasonOf returns the reason in the ErrorInfo of err. It returns "" if err has no ErrorInfo with the
// domain Domain.
func ReasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info.GetReason()
		}
	}
	return ""
}

// socketKey is the key of the path in the metadata of an ErrorInfo.
const socketKey = "socket"

// WithSocket adds the path of a unix socket to err if err says that the caller has no permission. Over the
// socket, the users of this machine have more rights than over loopback.
func WithSocket(err error, path string) error {
	st := status.Convert(err)
	if path == "" || ReasonOf(err) != ReasonNotAllowed {
		return err
	}
	return withDetails(status.New(st.Code(), st.Message()),
		&errdetails.ErrorInfo{Domain: Domain, Reason: ReasonNotAllowed, Metadata: map[string]string{socketKey: path}})
}

// SocketOf returns the path that WithSocket has added to an error, or "".
func SocketOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info.GetMetadata()[socketKey]
		}
	}
	return ""
}

// RetryDelay returns how long the caller should wait before it repeats the call, as the server has
// requested in err. It returns false if err contains no such request.
func RetryDelay(err error) (time.Duration, bool) {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}

// FromGRPC converts a gRPC error into the error of package domain with the same reason, and keeps
// the message of the gRPC error. If there is no such reason, it returns err.
func FromGRPC(err error) error {
	reason := ReasonOf(err)
	for _, row := range codeOf {
		if row.reason == reason {
			said := status.Convert(err).Message()
			if before, after, repeats := strings.Cut(said, row.err.Error()); repeats {
				return fmt.Errorf("%s%w%s", before, row.err, after)
			}
			return fmt.Errorf("%w (%s)", row.err, said)
		}
	}
	return err
}
