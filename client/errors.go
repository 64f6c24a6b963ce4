package client

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The errors of this package, for errors.Is. All other errors of calls are gRPC statuses.
var (
	// ErrClosed reports that the Client was closed.
	ErrClosed = errors.New("the client is closed")
	// ErrSuperseded reports that another process has registered under the same name. This ends
	// the Registration.
	ErrSuperseded = domain.ErrSuperseded
	// ErrLeaseUnknown reports that the coordinator does not know the lease. A Registration
	// handles this error itself: it registers again.
	ErrLeaseUnknown = domain.ErrLeaseUnknown
	// ErrNotFound reports that the name is not registered.
	ErrNotFound = domain.ErrNotFound
	// ErrStore reports that the coordinator cannot store anything at the moment.
	ErrStore = domain.ErrStore
	// ErrStopping reports that the coordinator is about to stop.
	ErrStopping = domain.ErrStopping
	// ErrLimit reports that a limit of the coordinator is reached.
	ErrLimit = domain.ErrLimit
	// ErrNotAllowed reports that the access policy of the coordinator refuses the call.
	ErrNotAllowed = domain.ErrNotAllowed
	// ErrSilent reports that the coordinator has sent nothing during the time of three
	// heartbeats, not even a heartbeat.
	ErrSilent = errors.New("three heartbeats missed")
)

// answeredError is an error of this package, such as ErrNotFound, together with the gRPC status
// that the coordinator has sent. The status may contain the pause before the next attempt.
type answeredError struct{ domain, status error }

// Error returns the text of the domain error, without the gRPC status.
func (a answeredError) Error() string { return a.domain.Error() }

// Unwrap returns the domain error and the gRPC status, so that errors.Is finds each of them.
func (a answeredError) Unwrap() []error { return []error{a.domain, a.status} }

// domainError converts the error of a call into an answeredError if it contains a reason of this
// project, such as NOT_FOUND. It returns all other errors unchanged.
func domainError(err error) error {
	if wire.ReasonOf(err) == "" {
		return err
	}
	return answeredError{wire.FromGRPC(err), err}
}

// isRefusal reports whether the coordinator will refuse the same request again and again, until
// the request or the coordinator is changed.
func isRefusal(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
		return true
	}
	return false
}
