package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// The reasons for which the coordinator itself ends a stream, a call or the use of a
// protocol.
var (
	// errSilent ends a stream that has missed its heartbeats.
	errSilent = errors.New("no message came for too long")
	// errFlood ends a stream that sends more messages than its budget.
	errFlood = errors.New("it sends more than its budget")
	// errNoRoom ends the use of a connection on which the target allows no further stream.
	errNoRoom = errors.New("the target allows no further stream on the connection")
	// errContradicted ends a Watch if repeated answers of Check contradict its status.
	errContradicted = errors.New("its Watch does not say what its Check says")
	// errNoAnswer ends a Watch that sends no valid status of the requested names.
	errNoAnswer = errors.New("its Watch does not answer with a status of the names it is asked for")
	// errTryBetter ends the use of a protocol, so that the follower tries a better protocol again.
	errTryBetter = errors.New("a better protocol is tried again")
	// errStranger ends the calls to a process that is not the registered one.
	errStranger = errors.New("another process than the registered one answers at its address")
)

// endedByUs reports whether err is one of the errors above, but not errSilent. A silent stream
// is evidence against the target; the other errors are decisions of the coordinator.
func endedByUs(err error) bool {
	for _, own := range []error{errFlood, errNoRoom, errContradicted, errTryBetter, errStranger, errNoAnswer} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// ownEnd returns the reason for which the coordinator has cancelled the context ctx of a
// stream. It returns err if the coordinator has not cancelled ctx.
func ownEnd(ctx context.Context, err error) error {
	if why := context.Cause(ctx); errors.Is(why, errSilent) || endedByUs(why) {
		return why
	}
	return err
}

// classifyCall returns the finding for the end of a call or a stream of any protocol. err
// is its error, and r records what the call received.
func classifyCall(err error, r *reply) finding {
	if err == nil || errors.Is(err, io.EOF) {
		return finding{kind: noEvidence}
	}
	got := r.received()
	if errors.Is(err, errSilent) {
		return got.timeoutFinding(errSilent.Error())
	}
	st := status.Convert(err)
	reason := wire.Clean(st.Code().String() + ": " + st.Message())
	if got.madeByClient(st) {
		return got.clientFinding(st, reason)
	}
	return got.statusFinding(st, reason)
}

// quotaFinding is the finding for a target that allows no further stream.
func quotaFinding() finding {
	return finding{kind: noQuota, cause: health.CauseQuota, waited: true, reason: errNoRoom.Error()}
}

// timeoutFinding is the finding for a wait that ended without an answer. If the call was
// never sent because the target allowed no further stream, the path is not at fault.
func (g *received) timeoutFinding(reason string) finding {
	if g.waitsForRoom() {
		return quotaFinding()
	}
	return finding{kind: pathFault, reason: reason, waited: true}
}

// statusFinding is the finding for a gRPC status that came in trailers. grpc-go reports
// trailers without a status as UNKNOWN without a message. If a target itself sends UNKNOWN
// without a message, the finding is the same.
func (g *received) statusFinding(st *status.Status, reason string) finding {
	switch st.Code() {
	case codes.Unimplemented:
		return finding{kind: unimplemented, cause: health.CauseUnimplemented, reason: reason}
	case codes.NotFound:
		return finding{kind: unknownName, cause: health.CauseUnknownName, reason: reason}
	case codes.Unauthenticated, codes.PermissionDenied:
		return finding{kind: misconfigured, cause: health.CauseUnauthenticated, reason: reason}
	case codes.ResourceExhausted:
		return finding{kind: noQuota, cause: health.CauseQuota, reason: reason}
	case codes.DeadlineExceeded, codes.Canceled:
		return finding{kind: pathFault, reason: reason}
	case codes.Unavailable:
		return failureFinding(g.fromUpstream() && !g.byProxy(), reason)
	case codes.Internal, codes.InvalidArgument, codes.FailedPrecondition, codes.Aborted,
		codes.OutOfRange, codes.AlreadyExists, codes.DataLoss:
		return failureFinding(!g.byProxy(), reason)
	case codes.Unknown:
		if st.Message() != "" {
			return failureFinding(!g.byProxy(), reason)
		}
		reason = "the target ended the call without a status"
	}
	return finding{kind: malformed, cause: health.CauseMalformed, reason: reason}
}

// failureFinding is the finding for an error status. byTarget is false if a proxy in front
// of the target has sent the status.
func failureFinding(byTarget bool, reason string) finding {
	if byTarget {
		return finding{kind: targetFailed, cause: health.CauseFailed, reason: reason}
	}
	return finding{kind: pathFault, reason: reason}
}

// clientErrors lists the prefixes of the error texts with which grpc-go v1.85.0 rejects a received
// message. Trailers may come before grpc-go rejects the message.
var clientErrors = []string{
	"grpc: received message ", "grpc: received unexpected payload format", "grpc: message after decompression",
	"grpc: failed to unmarshal", "grpc: failed to decompress", "grpc: failed to read decompressed",
	"grpc: compressed flag set", "grpc: Decompressor is not installed", "grpc: no decompressor",
	truncatedMessage,
}

// truncatedMessage is the error text of grpc-go for a message that ended too early.
const truncatedMessage = "unexpected EOF"

// madeByClient reports whether the coordinator's gRPC client made the error. Otherwise the target or
// a proxy sent it in trailers. Without trailers, the client made it. With trailers but
// without headers, the client made it only if it missed a message. In all other cases the
// text decides: the error counts as made by the client if it begins with one of clientErrors.
func (g *received) madeByClient(st *status.Status) bool {
	if !g.trailers {
		return true
	}
	text := st.Message()
	if st.Code() == codes.Internal && strings.HasPrefix(text, "cardinality violation: ") {
		return true
	}
	if g.header == nil || st.Code() != codes.Internal && st.Code() != codes.ResourceExhausted {
		return false
	}
	for _, own := range clientErrors {
		if strings.HasPrefix(text, own) {
			return true
		}
	}
	return false
}

// clientFinding is the finding for an error that the coordinator's own gRPC client made.
func (g *received) clientFinding(st *status.Status, reason string) finding {
	switch {
	case strings.HasPrefix(st.Message(), httpPrefix):
		return httpFinding(st, reason)
	case strings.HasPrefix(st.Message(), "stream terminated by RST_STREAM") && st.Code() != codes.DeadlineExceeded:
		return finding{kind: replyCut, reason: reason}
	case st.Code() == codes.DeadlineExceeded:
		return g.timeoutFinding(reason)
	case st.Code() == codes.Canceled: // the coordinator has ended the call or the connection
		return finding{kind: noEvidence}
	case st.Code() == codes.Unavailable && !invalidFrames(st):
		return finding{kind: replyCut, reason: reason}
	case st.Message() == truncatedMessage && (g.stream || g.messages == 0):
		return finding{kind: replyCut, reason: reason}
	}
	// The answer is malformed, for example if bytes follow the only message of a unary call.
	return finding{kind: malformed, cause: health.CauseMalformed, reason: reason}
}

// invalidFrames reports whether grpc-go closed the connection because of invalid frames. It decides by
// the error text, which differs from that of a lost connection or a restarting proxy.
func invalidFrames(st *status.Status) bool {
	return strings.HasPrefix(st.Message(), "error reading from server: connection error: ") ||
		strings.HasPrefix(st.Message(), "error reading from server: http2: ")
}

// httpPrefix is the begin of the error text of grpc-go for a reply that has an HTTP status
// and no gRPC status.
const httpPrefix = "unexpected HTTP status code received from server: "

// httpFinding is the finding for a reply with an HTTP status and without a gRPC status.
func httpFinding(st *status.Status, reason string) finding {
	var code int
	_, _ = fmt.Sscanf(st.Message(), httpPrefix+"%d", &code)
	switch code {
	case 401, 403:
		return finding{kind: misconfigured, cause: health.CauseUnauthenticated, reason: reason}
	case 404:
		return finding{kind: unimplemented, cause: health.CauseUnimplemented, reason: reason}
	case 429, 502, 503, 504:
		return finding{kind: pathFault, reason: reason}
	}
	return finding{kind: malformed, cause: health.CauseMalformed, reason: reason}
}
