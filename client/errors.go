package client

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// The errors worth telling apart, with errors.Is. Others are gRPC statuses.
var (
	// ErrClosed: the Client was closed.
	ErrClosed = errors.New("the client is closed")
	// ErrSuperseded: another process has registered under the same name; this
	// registration is over.
	ErrSuperseded = wire.ErrSuperseded
	// ErrLeaseUnknown: the coordinator does not know the lease. A Registration
	// mends this itself.
	ErrLeaseUnknown = wire.ErrLeaseUnknown
	// ErrNotFound: the coordinator does not know the name.
	ErrNotFound = wire.ErrNotFound
	// ErrStore: the coordinator cannot make anything durable at the moment.
	ErrStore = wire.ErrStore
	// ErrStopping: the coordinator is about to stop.
	ErrStopping = wire.ErrStopping
	// ErrLimit: a limit of the coordinator is reached.
	ErrLimit = wire.ErrLimit
	// ErrNotAllowed: the coordinator does not let us.
	ErrNotAllowed = wire.ErrNotAllowed
	// ErrSilent: the coordinator sent nothing, no heartbeat either, for three
	// heartbeats.
	ErrSilent = errors.New("three heartbeats missed")
)

// answer is an error of the domain with the status it came as, which may say
// when to come again.
type answer struct{ domain, status error }

// Error says it in the domain's words.
func (a answer) Error() string { return a.domain.Error() }

// Unwrap returns both.
func (a answer) Unwrap() []error { return []error{a.domain, a.status} }

// ours returns what a call returned as one of the errors above, where it is
// one.
func ours(err error) error {
	if wire.ReasonOf(err) == "" {
		return err
	}
	return answer{wire.FromGRPC(err), err}
}

// refusal reports whether the coordinator has judged what was asked, so that
// asking again will not help until somebody changes something.
func refusal(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
		return true
	}
	return false
}
