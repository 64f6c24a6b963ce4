package client

import (
	"context"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// told returns an error that says when to try again.
func told(t *testing.T, code codes.Code, after time.Duration) error {
	t.Helper()
	st, err := status.New(code, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

func TestRetries(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      func(t *testing.T) error
		attempts int
		least    time.Duration // the sum of all pauses
		most     time.Duration
	}{
		{"unavailable", plain(codes.Unavailable), maxAttempts, 0, 600 * time.Millisecond},
		{"deadline, idempotent", plain(codes.DeadlineExceeded), maxAttempts, 0, 600 * time.Millisecond},
		{"exhausted, told when", after(codes.ResourceExhausted, time.Second), maxAttempts, 2 * time.Second, 2 * time.Second},
		{"unavailable, told when", after(codes.Unavailable, 3*time.Second), maxAttempts, 6 * time.Second, 6 * time.Second},
		{"told too late", after(codes.Unavailable, time.Hour), 1, 0, 0},
		{"told after the deadline", after(codes.Unavailable, 31*time.Second), 1, 0, 0},
		{"exhausted", plain(codes.ResourceExhausted), 1, 0, 0},
		{"internal", plain(codes.Internal), 1, 0, 0},
		{"not found", plain(codes.NotFound), 1, 0, 0},
		{"superseded", func(*testing.T) error { return wire.GRPC(domain.ErrSuperseded) }, 1, 0, 0},
		{"invalid", plain(codes.InvalidArgument), 1, 0, 0},
		{"cancelled by the server", plain(codes.Canceled), 1, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.up()
				w.registry.set(failing(c.err(t)))
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				began := time.Now()
				_, err := pb.NewRegistryServiceClient(w.client().Conn()).Renew(ctx, &pb.RenewRequest{})
				wantEqual(t, "code", status.Code(err), status.Code(c.err(t)))
				wantCount(t, "attempts", w.registry.came("Renew"), c.attempts, c.attempts)
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("took %v, want %v to %v", took, c.least, c.most)
				}
			})
		})
	}
}

func plain(code codes.Code) func(*testing.T) error {
	return func(*testing.T) error { return status.Error(code, "no") }
}

func after(code codes.Code, d time.Duration) func(*testing.T) error {
	return func(t *testing.T) error { return told(t, code, d) }
}

func TestRetriesEndWithTheContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.up()
		w.registry.set(failing(told(t, codes.Unavailable, 10*time.Second)))
		c := w.client()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(4*time.Second, cancel)
		began := time.Now()
		_, err := pb.NewRegistryServiceClient(c.Conn()).Renew(ctx, &pb.RenewRequest{})
		wantEqual(t, "code", status.Code(err), codes.Canceled)
		wantEqual(t, "took", time.Since(began), 4*time.Second)
	})
}

func TestTrialOfWhatMayHaveBeenDone(t *testing.T) {
	tr := retriedCall{ctx: t.Context(), idempotent: idempotent[pb.AdminService_SetOverride_FullMethodName]}
	if tr.retriable(status.Error(codes.DeadlineExceeded, "late")) {
		t.Error("an override that may have been set is set again")
	}
	if tr.retriable(told(t, codes.Unavailable, time.Hour)) {
		t.Error("an hour is waited for")
	}
	if !tr.retriable(unavailable) {
		t.Error("an override that was not set is not tried again")
	}
}

func methodNames(list []grpc.MethodDesc) []string {
	var names []string
	for _, m := range list {
		names = append(names, m.MethodName)
	}
	return names
}

func TestIdempotentMethodsExist(t *testing.T) {
	known := map[string]bool{}
	for _, d := range []struct {
		service string
		methods []string
	}{
		{pb.RegistryService_ServiceDesc.ServiceName, methodNames(pb.RegistryService_ServiceDesc.Methods)},
		{pb.HealthService_ServiceDesc.ServiceName, methodNames(pb.HealthService_ServiceDesc.Methods)},
		{pb.AdminService_ServiceDesc.ServiceName, methodNames(pb.AdminService_ServiceDesc.Methods)},
	} {
		for _, m := range d.methods {
			known["/"+d.service+"/"+m] = true
		}
	}
	for name := range idempotent {
		if !known[name] {
			t.Errorf("%s is not a unary method", name)
		}
	}
	// A new method must be added to idempotent, or to these.
	wantEqual(t, "methods that may not be repeated", len(known)-len(idempotent), 2)
}
