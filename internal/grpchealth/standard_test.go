package grpchealth

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	unknown        = healthpb.HealthCheckResponse_UNKNOWN
	serving        = healthpb.HealthCheckResponse_SERVING
	notServing     = healthpb.HealthCheckResponse_NOT_SERVING
	serviceUnknown = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
)

// numbers maps each status to its number in grpc.health.v1. It must contain all statuses.
var numbers = map[health.Status]healthpb.HealthCheckResponse_ServingStatus{
	health.Unknown: unknown, health.Serving: serving, health.Degraded: serving, health.NotServing: notServing,
	health.Starting: notServing, health.Draining: notServing, health.Maintenance: notServing,
}

func TestStandardCheck(t *testing.T) {
	w := newWorld(t, Config{})
	if len(numbers) != len(health.Statuses()) {
		t.Errorf("%d statuses are tested of %d", len(numbers), len(health.Statuses()))
	}
	for status, want := range numbers {
		for _, name := range []string{"pay", "pay/1", "*", "self"} {
			s := is(name, status)
			s.Cause, s.Unconfirmed = health.CauseFailed, name == "pay/1"
			w.publish(s)
			var trailer metadata.MD
			r, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name}, grpc.Trailer(&trailer))
			if err != nil || r.GetStatus() != want {
				t.Errorf("%s %v: %v, %v, want %v", name, status, r, err, want)
			}
			for key, value := range map[string]string{
				"meshhealth-status": status.String(), "meshhealth-cause": "failed",
				"meshhealth-unconfirmed": fmt.Sprint(name == "pay/1"),
			} {
				if got := trailer.Get(key); len(got) != 1 || got[0] != value {
					t.Errorf("%s %v: %s %q, want %q", name, status, key, got, value)
				}
			}
		}
		r, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil || r.GetStatus() != want {
			t.Errorf("the empty name: %v, %v, want that of self: %v", r, err, want)
		}
	}
}

// read returns the status, the cause and the unconfirmed mark that an answer to Check says. An
// answer without trailers has the status of its number, with the cause ok, and is confirmed.
func read(r *healthpb.HealthCheckResponse, trailers metadata.MD) health.State {
	if trailers.Get(wire.TrailerStatus) == nil {
		s, _ := health.StatusFromWire(int32(r.GetStatus()))
		return health.State{Status: s, Cause: health.CauseOK}
	}
	s, _ := health.ParseStatus(trailers.Get(wire.TrailerStatus)[0])
	c, _ := health.ParseCause(trailers.Get(wire.TrailerCause)[0])
	return health.State{Status: s, Cause: c, Unconfirmed: trailers.Get(wire.TrailerUnconfirmed)[0] == "true"}
}

// An answer says the same with and without trailers. It has none if it is SERVING with the
// cause ok and confirmed.
func TestStandardCheckTrailers(t *testing.T) {
	for _, number := range []func(*health.State) healthpb.HealthCheckResponse_ServingStatus{nil, degradedNotServing} {
		w := newWorld(t, Config{Number: number, StandardRights: func(context.Context) *access.Rights { return access.ReadEvidence }})
		for _, status := range health.Statuses() {
			for cause := range health.NumCauses {
				for _, unconfirmed := range []bool{false, true} {
					s := is("pay", status)
					s.Cause, s.Unconfirmed = cause, unconfirmed
					w.publish(s)
					var trailers metadata.MD
					r, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "pay"}, grpc.Trailer(&trailers))
					if err != nil {
						t.Fatal(err)
					}
					if got := read(r, trailers); got.Status != status || got.Cause != cause || got.Unconfirmed != unconfirmed {
						t.Errorf("%v %v, unconfirmed %v: the answer is %v with %v", status, cause, unconfirmed, r, trailers)
					}
					plain := status == health.Serving && cause == health.CauseOK && !unconfirmed
					if plain != (len(trailers) == 0) {
						t.Errorf("%v %v, unconfirmed %v: trailers %v", status, cause, unconfirmed, trailers)
					}
				}
			}
		}
	}
}

func degradedNotServing(s *health.State) healthpb.HealthCheckResponse_ServingStatus {
	if s.Status == health.Degraded {
		return notServing
	}
	return healthpb.HealthCheckResponse_ServingStatus(s.Status.GRPC())
}

func TestStandardDegradedNotServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Number: degradedNotServing})
		w.publish(is("pay", health.Degraded))
		var trailer metadata.MD
		r, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "pay"}, grpc.Trailer(&trailer))
		if err != nil || r.GetStatus() != notServing || trailer.Get(wire.TrailerStatus)[0] != "DEGRADED" {
			t.Errorf("%v, %v, %v", r, err, trailer)
		}
		in := w.watchStock(t, "pay")
		if m := in.one(); m.GetStatus() != notServing {
			t.Errorf("Watch: %v", m)
		}
		w.publish(is("pay", health.NotServing))
		in.none() // the same number
	})
}

func TestStandardCheckOfNamesNobodyKnows(t *testing.T) {
	w := newWorld(t, Config{})
	w.publish(is("pay", health.Serving))
	for _, name := range []string{"shop", "pay/1", "pay/", "/", "a b\x00", "*", "*/1", strings.Repeat("x", wire.MaxFullName)} {
		_, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if wantCode(t, err, codes.NotFound); wire.ReasonOf(err) != wire.ReasonNotFound {
			t.Errorf("%q: reason %q", name, wire.ReasonOf(err))
		}
	}
	long := &healthpb.HealthCheckRequest{Service: strings.Repeat("x", wire.MaxFullName+1)}
	_, err := w.stock.Check(t.Context(), long)
	wantCode(t, err, codes.InvalidArgument)
	stream, err := w.stock.Watch(t.Context(), long)
	if err == nil {
		_, err = stream.Recv()
	}
	wantCode(t, err, codes.InvalidArgument)
}

func TestStandardWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("self", health.Starting), is("pay", health.Serving), is("pay/1", health.Serving))
		service, instance, empty := w.watchStock(t, "pay"), w.watchStock(t, "pay/1"), w.watchStock(t, "")
		for in, want := range map[*inbox[*healthpb.HealthCheckResponse]]healthpb.HealthCheckResponse_ServingStatus{
			service: serving, instance: serving, empty: notServing,
		} {
			if m := in.one(); m.GetStatus() != want {
				t.Errorf("first %v, want %v", m, want)
			}
		}
		w.publish(is("pay", health.Degraded)) // the number is still SERVING, so nothing is sent
		service.none()
		w.publish(is("pay/1", health.NotServing), is("self", health.Serving))
		service.none()
		if m := instance.one(); m.GetStatus() != notServing {
			t.Errorf("the instance: %v", m)
		}
		if m := empty.one(); m.GetStatus() != serving {
			t.Errorf("the empty name: %v", m)
		}
		instance.cancel()
		instance.ends(codes.Canceled)
		service.cancel()
		empty.cancel()
		if synctest.Wait(); w.handlers.Watchers() != 0 {
			t.Errorf("%d watchers after all have gone", w.handlers.Watchers())
		}
	})
}

func TestStandardWatchOfANameNobodyKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		in := w.watchStock(t, "shop/1")
		if m := in.one(); m.GetStatus() != serviceUnknown {
			t.Errorf("at first: %v", m)
		}
		w.publish(is("shop", health.Serving)) // another name
		in.none()
		w.publish(is("shop/1", health.Serving))
		if m := in.one(); m.GetStatus() != serving {
			t.Errorf("when it appears: %v", m)
		}
		w.publish(gone("shop/1"))
		if m := in.one(); m.GetStatus() != serviceUnknown {
			t.Errorf("when it goes: %v", m)
		}
	})
}

func TestStandardNeverSends4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		in := w.watchStock(t, "pay")
		for _, from := range health.Statuses() {
			for _, to := range health.Statuses() {
				w.publish(is("pay", from))
				synctest.Wait()
				w.publish(is("pay", to))
				synctest.Wait()
			}
		}
		for _, m := range in.received() {
			if m.GetStatus() > serviceUnknown {
				t.Fatalf("%d was sent", m.GetStatus())
			}
		}
	})
}

func TestStandardList(t *testing.T) {
	w := newWorld(t, Config{})
	w.publish(is("self", health.Serving), is("pay", health.Degraded), is("pay/1", health.Serving), is("*", health.Unknown))
	r, err := w.stock.List(t.Context(), &healthpb.HealthListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]healthpb.HealthCheckResponse_ServingStatus{}
	for name, s := range r.GetStatuses() {
		got[name] = s.GetStatus()
	}
	want := map[string]healthpb.HealthCheckResponse_ServingStatus{"": serving, "self": serving, "pay": serving, "*": unknown}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for i := range maxStandardList {
		w.publish(is(fmt.Sprintf("svc-%d", i), health.Serving))
	}
	_, err = w.stock.List(t.Context(), &healthpb.HealthListRequest{})
	wantCode(t, err, codes.ResourceExhausted)
}

// TestNamesThatAreNone: a name with an empty part before or after a slash is neither "" nor
// a service.
func TestNamesThatAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("self", health.Serving), is("pay", health.Serving), is("pay/a", health.Serving))
		for _, name := range []string{"/", "pay/", "/a", "//", "pay//", "/pay"} {
			r, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
			if r != nil {
				t.Errorf("Check(%q): %v", name, r)
			}
			wantCode(t, err, codes.NotFound)
			in := w.watchStock(t, name)
			if m := in.one(); m.GetStatus() != serviceUnknown {
				t.Errorf("Watch(%q): %v", name, m)
			}
			_, err = w.mesh.Check(t.Context(), &pb.CheckRequest{Service: name})
			wantCode(t, err, codes.InvalidArgument)
		}
	})
}
