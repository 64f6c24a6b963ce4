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

// The errors with which the coordinator itself ends a stream or a call, or stops using a health
// protocol.
var (
	// errSilent ends a stream on which no message came for too long.
	errSilent = errors.New("no message came for too long")
	// errFlood ends a stream on which the target sends more messages than Config.Budgets
	// permits.
	errFlood = errors.New("it sends more than its budget")
	// errNoRoom is the reason for which a follower changes to another connection: the target
	// allows no further stream on the old connection.
	errNoRoom = errors.New("the target allows no further stream on the connection")
	// errContradicted ends a Watch stream whose last status differs from the status that a
	// Check returns.
	errContradicted = errors.New("its Watch does not say what its Check says")
	// errNoAnswer ends a Watch stream that sends no valid status of a requested name.
	errNoAnswer = errors.New("its Watch does not answer with a status of the names it is asked for")
	// errTryBetter ends a stream or a series of polls, so that the follower tries a protocol
	// again that is better than the present one.
	errTryBetter = errors.New("a better protocol is tried again")
	// errStranger ends the calls to a process that answers at the registered address, but is not
	// the registered process.
	errStranger = errors.New("another process than the registered one answers at its address")
)

// endedByUs reports whether err says that the coordinator decided to end a stream or a call.
// errSilent does not count, because a silent stream is evidence against the target.
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

// classifyCall returns what the end of a call or stream shows about the target. err is the
// error with which the call ended, or nil. r records what the call has received.
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

// quotaFinding returns the conclusion that the target allows no further stream.
func quotaFinding() finding {
	return finding{kind: noQuota, cause: health.CauseQuota, waited: true, reason: errNoRoom.Error()}
}

// timeoutFinding returns what the coordinator concludes if the target has not answered in time.
// Usually the network path has failed. But if the target allows no further stream, the call was
// never sent, and the conclusion is that the target has this limit.
func (g *received) timeoutFinding(reason string) finding {
	if g.waitsForRoom() {
		return quotaFinding()
	}
	return finding{kind: pathFault, reason: reason, waited: true}
}

// statusFinding returns what a gRPC status that came in trailers shows about the target.
// grpc-go reports trailers without a status as UNKNOWN without a message. If a target itself
// sends UNKNOWN without a message, the result is the same.
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

// failureFinding returns what an error status shows: that the target has failed, or that the
// network path has failed. byTarget is false if a proxy in front of the target sent the status.
func failureFinding(byTarget bool, reason string) finding {
	if byTarget {
		return finding{kind: targetFailed, cause: health.CauseFailed, reason: reason}
	}
	return finding{kind: pathFault, reason: reason}
}

// clientErrors lists the prefixes of the error texts with which grpc-go v1.85.0 rejects a
// received message. grpc-go may reject a message even if the trailers of the call have come.
var clientErrors = []string{
	"grpc: received message ", "grpc: received unexpected payload format", "grpc: message after decompression",
	"grpc: failed to unmarshal", "grpc: failed to decompress", "grpc: failed to read decompressed",
	"grpc: compressed flag set", "grpc: Decompressor is not installed", "grpc: no decompressor",
	truncatedMessage,
}

// truncatedMessage is the error text of grpc-go for a message that ended too early.
const truncatedMessage = "unexpected EOF"

// madeByClient reports whether the coordinator's own gRPC client made the error st. Otherwise
// the target or a proxy sent st in trailers. If no trailers came, the client made st. If
// trailers but no headers came, the client made st only if st reports a missing message. In
// all other cases the client made st if the text of st begins with one of clientErrors.
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

// clientFinding returns what the coordinator concludes from the error st, which its own gRPC
// client made.
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

// invalidFrames reports whether grpc-go closed the connection because of invalid HTTP/2 frames.
// Only the error text shows this. For a lost connection, grpc-go uses another text.
func invalidFrames(st *status.Status) bool {
	return strings.HasPrefix(st.Message(), "error reading from server: connection error: ") ||
		strings.HasPrefix(st.Message(), "error reading from server: http2: ")
}

// httpPrefix is how the error text of grpc-go begins for a reply that has an HTTP status
// and no gRPC status.
const httpPrefix = "unexpected HTTP status code received from server: "

// httpFinding returns what the coordinator concludes from a reply that has an HTTP status, but
// no gRPC status.
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
