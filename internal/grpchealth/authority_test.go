package grpchealth

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// at returns the option of a call with an :authority.
func at(authority string) grpc.CallOption { return grpc.CallAuthority(authority) }

// routed returns an instance with a route.
func routed(name string, status health.Status, route health.Route, kept bool) health.State {
	s := is(name, status)
	s.Route, s.RouteKept = route, kept
	return s
}

// TestProbedNumber: every status with every route. An instance that keeps a route with traffic
// is SERVING for a probe, and the trailers still have its status.
func TestProbedNumber(t *testing.T) {
	w := newWorld(t, Config{Instances: true})
	for _, status := range health.Statuses() {
		for route := range health.NumRoutes {
			for _, kept := range []bool{false, true} {
				w.publish(routed("pay/a", status, route, kept))
				want := healthpb.HealthCheckResponse_ServingStatus(status.GRPC())
				if kept && (route == health.RouteHealthy || route == health.RouteDegraded) {
					want = healthpb.HealthCheckResponse_SERVING
				}
				trailer := metadata.MD{}
				got, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "pay"}, at("a.instance.meshhealth"), grpc.Trailer(&trailer))
				if err != nil || got.GetStatus() != want {
					t.Errorf("%v %v kept=%v: %v %v, want %v", status, route, kept, got, err, want)
				}
				if s := trailer.Get(wire.TrailerStatus); len(s) == 0 || s[0] != status.String() {
					t.Errorf("%v %v kept=%v: the trailers say %v", status, route, kept, s)
				}
				got, err = w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "pay/a"})
				if err != nil || int32(got.GetStatus()) != status.GRPC() {
					t.Errorf("%v by name: %v %v", status, got, err)
				}
			}
		}
	}
}

// TestAuthorityWithoutInstances: the embedded server gives the authority no meaning.
func TestAuthorityWithoutInstances(t *testing.T) {
	w := newWorld(t, Config{})
	w.publish(is("pay", health.Serving), is("pay/a", health.NotServing))
	for _, authority := range []string{"a.instance.meshhealth", "a:1.instance.meshhealth"} {
		got, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "pay"}, at(authority))
		if err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%s: %v %v", authority, got, err)
		}
	}
}

// TestListOfAnInstanceIsBounded: List returns an error for more than 100 services.
func TestListOfAnInstanceIsBounded(t *testing.T) {
	w := newWorld(t, Config{Instances: true})
	for i, want := range []codes.Code{99: codes.OK, 100: codes.ResourceExhausted} {
		service := fmt.Sprintf("s%03d", i)
		w.publish(is(service, health.Serving), is(service+"/a", health.Serving))
		if i < 99 {
			continue
		}
		got, err := w.stock.List(t.Context(), &healthpb.HealthListRequest{}, at("a.instance.meshhealth"))
		wantCode(t, err, want)
		if err == nil && len(got.GetStatuses()) != i+1 {
			t.Errorf("%d instances, want %d", len(got.GetStatuses()), i+1)
		}
	}
}

// TestAuthorityAndAccess: the policy decides about the instance in the authority, and List omits
// what it refuses.
func TestAuthorityAndAccess(t *testing.T) {
	w := newWorld(t, Config{Instances: true, Rights: byName, StandardRights: byName})
	w.publish(is("hidden", health.Serving), is("hidden/1", health.Serving), is("pay", health.Serving), is("pay/1", health.Serving))
	at1 := at("1.instance.meshhealth")
	_, err := w.stock.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "hidden"}, at1)
	wantCode(t, err, codes.NotFound)
	watch, err := w.stock.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "hidden"}, at1)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := watch.Recv(); m.GetStatus() != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("the Watch says %v, %v", m, err)
	}
	list, err := w.stock.List(t.Context(), &healthpb.HealthListRequest{}, at1)
	if err != nil || len(list.GetStatuses()) != 1 || list.GetStatuses()["pay"] == nil {
		t.Errorf("%v %v", list, err)
	}
}

// BenchmarkProbe makes one probe of an instance at a time, over a connection in memory.
func BenchmarkProbe(b *testing.B) {
	w := newWorld(b, Config{Instances: true})
	s := is("pay/a", health.Serving)
	s.Cause = health.CauseOK
	w.publish(s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.stock.Check(context.Background(), &healthpb.HealthCheckRequest{Service: "pay"}, at("a.instance.meshhealth:7070")); err != nil {
			b.Fatal(err)
		}
	}
}
