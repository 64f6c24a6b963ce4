package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/domain"
)

// domainErrors lists every error of the domain, beside codeOf.
var domainErrors = map[error]struct {
	code   codes.Code
	reason string
	retry  time.Duration
}{
	domain.ErrNotFound:     {codes.NotFound, "NOT_FOUND", 0},
	domain.ErrLeaseUnknown: {codes.NotFound, "LEASE_UNKNOWN", 0},
	domain.ErrSuperseded:   {codes.FailedPrecondition, "SUPERSEDED", 0},
	domain.ErrStore:        {codes.Unavailable, "STORE", 2 * time.Second},
	domain.ErrStopping:     {codes.Unavailable, "STOPPING", time.Second},
	domain.ErrLimit:        {codes.ResourceExhausted, "LIMIT", 10 * time.Second},
	domain.ErrNotAllowed:   {codes.PermissionDenied, "NOT_ALLOWED", 0},
	domain.ErrLeased:       {codes.FailedPrecondition, "LEASED", 0},
	domain.ErrIdentity:     {codes.Unauthenticated, "IDENTITY", 0},
	domain.ErrKey:          {codes.PermissionDenied, "KEY", 0},
	domain.ErrLater:        {codes.Unimplemented, "NOT_IMPLEMENTED", 0},
}

func TestErrorsBothWays(t *testing.T) {
	if len(codeOf) != len(domainErrors) {
		t.Errorf("%d rows, %d errors", len(codeOf), len(domainErrors))
	}
	for domain, want := range domainErrors {
		sent := GRPC(fmt.Errorf("instance a/1: %w", domain))
		st := status.Convert(sent)
		if st.Code() != want.code || ReasonOf(sent) != want.reason || st.Message() != "instance a/1: "+domain.Error() {
			t.Errorf("%v is sent as %v, reason %q", domain, sent, ReasonOf(sent))
		}
		if d, said := RetryDelay(sent); d != want.retry || said != (want.retry > 0) {
			t.Errorf("%v: retry after %v %v", domain, d, said)
		}
		// What is received has crossed the wire.
		got := FromGRPC(status.FromProto(st.Proto()).Err())
		for other := range domainErrors {
			if errors.Is(got, other) != (other == domain) {
				t.Errorf("%v is received as %v, which is %v: %v", domain, got, other, errors.Is(got, other))
			}
		}
		if !strings.Contains(got.Error(), "a/1") {
			t.Errorf("%v says nothing of a/1", got)
		}
	}
}

func TestGRPCOfOtherErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want codes.Code
	}{
		{nil, codes.OK},
		{context.Canceled, codes.Canceled},
		{fmt.Errorf("reading: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		{status.Error(codes.DataLoss, "x"), codes.DataLoss},
		{fmt.Errorf("wrapped: %w", status.Error(codes.Aborted, "x")), codes.Aborted},
		{io.EOF, codes.Internal}, // unknown ones
	} {
		if got := status.Code(GRPC(c.err)); got != c.want {
			t.Errorf("%v is sent as %v, want %v", c.err, got, c.want)
		}
	}
	if got := status.Convert(GRPC(fmt.Errorf("a\x1bb: %w", domain.ErrLimit))).Message(); strings.Contains(got, "\x1b") {
		t.Errorf("sends %q", got)
	}
}

func TestErrorsOfOthers(t *testing.T) {
	foreign, err := status.New(codes.NotFound, "x").WithDetails(&errdetails.ErrorInfo{Domain: "elsewhere", Reason: "STORE"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{io.EOF, status.Error(codes.NotFound, "x"), foreign.Err()} {
		if got := FromGRPC(err); got != err || ReasonOf(err) != "" {
			t.Errorf("%v is taken for %v, reason %q", err, got, ReasonOf(err))
		}
		if _, said := RetryDelay(err); said {
			t.Errorf("%v has a delay", err)
		}
	}
}
