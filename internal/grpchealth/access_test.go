package grpchealth

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// byName hides the service "hidden" and shows details of the service "open" only.
type byName struct{}

func (byName) Decide(_ access.Principal, _ access.Verb, name access.Name) access.Decision {
	switch name.ID.Service {
	case "hidden":
		return access.Decision{Needs: "a reason"}
	case "open":
		return access.Decision{Allowed: true, Detail: access.Full}
	}
	return access.Decision{Allowed: true}
}

// reasoned is a state with a reason that only callers with full detail may see.
func reasoned(name string) health.State {
	s := is(name, health.NotServing)
	s.Cause, s.Reason = health.CauseFailed, "secret of "+name
	return s
}

// reasons maps each entry to its reason.
func reasons(entries []*pb.Health) map[string]string {
	all := map[string]string{}
	for _, e := range entries {
		all[health.ID{Service: e.GetService(), Instance: e.GetInstance()}.String()] = e.GetReason()
	}
	return all
}

// wantReasons fails the test unless the entries are those that byName shows.
func wantReasons(t *testing.T, what string, entries []*pb.Health) {
	t.Helper()
	got := reasons(entries)
	if len(got) != 2 || got["open/1"] != "secret of open/1" || strings.Contains(got["pay/1"], "secret") {
		t.Errorf("%s: %q", what, got)
	}
}

// TestPolicyDecidesByName: a policy can hide single names and limit the detail of others,
// in every answer, although another caller sees everything at the same time.
func TestPolicyDecidesByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Policy: byName{}})
		all := []health.State{reasoned("hidden/1"), reasoned("open/1"), reasoned("pay/1"), is("hidden", health.Serving), is("pay", health.Serving)}
		w.publish(all[:3]...)
		in := w.watch(t, &pb.WatchRequest{})
		wantReasons(t, "the snapshot", in.one().GetEntries())
		w.publish(all[:3]...)
		wantReasons(t, "a batch", in.one().GetEntries())
		w.publish(all[:1]...)
		in.none()
		l, err := w.mesh.List(t.Context(), &pb.ListRequest{})
		if err != nil {
			t.Fatal(err)
		}
		wantReasons(t, "List", l.GetEntries())
		w.publish(all[3:]...)
		stock, err := w.stock.List(t.Context(), &healthpb.HealthListRequest{})
		if err != nil || len(stock.GetStatuses()) != 1 || stock.GetStatuses()["pay"] == nil {
			t.Errorf("the stock List: %v, %v", stock, err)
		}
	})
}

// TestRefusedNames: a name that the policy refuses is refused with the reason, whether it
// is known or not.
func TestRefusedNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Policy: byName{}})
		w.publish(is("hidden/1", health.Serving))
		for _, name := range []string{"hidden/1", "hidden/2"} {
			w.asked(t.Context(), name, func(method string, _ metadata.MD, err error) {
				wantCode(t, err, codes.PermissionDenied)
				want := "not allowed: to read the state of " + name + " needs a reason"
				if wire.ReasonOf(err) != wire.ReasonNotAllowed || status.Convert(err).Message() != want {
					t.Errorf("%s: %v, want %q", method, err, want)
				}
			})
		}
	})
}

// changing is a policy that can be replaced.
type changing struct{ access.Policy }

// TestPolicyIsAskedForEachDelivery: a policy that starts to refuse a name ends the
// deliveries of this name on open streams.
func TestPolicyIsAskedForEachDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := &changing{access.TrustPolicy{}}
		w := newWorld(t, Config{Policy: policy})
		w.publish(is("hidden", health.Serving), is("pay", health.Serving))
		stock, in := w.watchStock(t, "hidden"), w.watch(t, &pb.WatchRequest{})
		stock.one()
		in.one()
		policy.Policy = byName{}
		w.publish(is("hidden", health.NotServing), is("pay", health.NotServing))
		wantLines(t, in.one(), "pay NOT_SERVING")
		stock.none()
		stock.ends(codes.PermissionDenied)
	})
}

// recorder notes the names that a policy was asked about.
type recorder struct {
	access.TrustPolicy
	callers []access.Principal
	names   []string
}

func (r *recorder) Decide(who access.Principal, verb access.Verb, name access.Name) access.Decision {
	r.callers = append(r.callers, who)
	r.names = append(r.names, name.String())
	return r.TrustPolicy.Decide(who, verb, name)
}

// TestPolicyKnowsTheCaller: the policy receives the principal, and the name of the feed
// that "" stands for.
func TestPolicyKnowsTheCaller(t *testing.T) {
	policy := &recorder{}
	w := newWorld(t, Config{Policy: policy, Caller: func(context.Context) access.Principal {
		return access.Principal{Identity: "spiffe://mesh/tool"}
	}})
	w.publish(is("self", health.Serving))
	if _, err := w.mesh.Check(t.Context(), &pb.CheckRequest{}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(policy.names, []string{"self"}) || policy.callers[0] != (access.Principal{Identity: "spiffe://mesh/tool"}) {
		t.Errorf("asked about %q for %+v", policy.names, policy.callers)
	}
}
