package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// callError converts the error of a gRPC call into an error for the user, which may have a hint.
func (t *target) callError(err error) error {
	if err == nil {
		return nil
	}
	st := status.Convert(err)
	message := wire.Clean(st.Message())
	switch st.Code() {
	case codes.Unavailable:
		return t.unavailable(err, message)
	case codes.DeadlineExceeded:
		return hinted("Is the address right? --timeout allows more time.", "no answer from %s within %v", t.address, t.timeout)
	case codes.Canceled:
		return errors.New("interrupted")
	case codes.Unimplemented:
		return hinted("Is it a meshhealth coordinator? An embedded server answers status and watch only.", "%s does not support this call: %s", t.address, message)
	case codes.PermissionDenied, codes.Unauthenticated:
		return hinted("Show who you are: --tls-cert and --tls-key, or --token-file. `meshhealth policy explain` says which rule allows what.", "%s refuses: %s", t.address, message)
	case codes.InvalidArgument:
		return errors.New(violations(st, message))
	case codes.FailedPrecondition:
		return refused(err, message)
	}
	return fmt.Errorf("%s answers %s: %s", t.address, st.Code(), message)
}

// unavailable returns an error for the user, which says why the coordinator cannot be reached or
// cannot answer now.
func (t *target) unavailable(err error, message string) error {
	if wire.ReasonOf(err) != "" {
		return hinted("Try again in a moment.", "%s cannot do this now: %s", t.address, message)
	}
	if f := t.handshakeFailure(message); f != nil {
		return t.handshakeError(f, time.Now())
	}
	hint := "Run one with `meshhealth coordinator`, or name another with --coordinator HOST:PORT (or " + coordinatorEnv + ")."
	switch {
	case t.plaintext() && (strings.Contains(message, "server preface") || strings.Contains(message, "EOF") || strings.Contains(message, "reset by peer")):
		hint = "It may want TLS: --tls-ca FILE."
	}
	return hinted(hint, "cannot reach a coordinator at %s: %s", t.address, lastReason(message))
}

var gRPCPrefixes = regexp.MustCompile(`^(?:connection error: desc = |"|transport: |Error while dialing: |dial tcp [^ ]*: (?:connect: )?|authentication handshake failed: |last resolver error: |name resolver error: |produced zero addresses)+`)

// lastReason returns the cause at the end of message, without the text that gRPC puts before it.
func lastReason(message string) string {
	if short := strings.TrimSuffix(gRPCPrefixes.ReplaceAllString(message, ""), `"`); short != "" {
		return short
	}
	return message
}

// violations returns the faults that the coordinator has found in a request, one on each line.
func violations(st *status.Status, message string) string {
	var lines []string
	for _, d := range st.Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				lines = append(lines, wire.Clean(v.GetField()+": "+v.GetDescription()))
			}
		}
	}
	if len(lines) == 0 {
		return message
	}
	return strings.Join(lines, "\n")
}

func refused(err error, message string) error {
	if wire.ReasonOf(err) == wire.ReasonLeased {
		return hinted("The instance registers again as long as its process runs: stop the process, or give --force.", "%s", message)
	}
	return errors.New(message)
}
