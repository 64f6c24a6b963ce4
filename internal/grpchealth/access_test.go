package grpchealth

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// byName hides the service "hidden" and shows all details of the service "open" only.
var byName = rightsOf(access.Policy{Rules: []access.Rule{
	{Name: "status", Who: []string{"anyone"}, Read: &access.Read{Services: []string{"pay", "db", "mail", "orders"}}},
	{Name: "all", Who: []string{"anyone"}, Read: &access.Read{Services: []string{"open"}, Detail: access.Evidence}},
}})

// rightsOf returns the rights that a policy gives to every caller.
func rightsOf(p access.Policy) func(context.Context) *access.Rights {
	c, err := access.Compile(&p)
	if err != nil {
		panic(err)
	}
	r := c.For("")
	return func(context.Context) *access.Rights { return r }
}

// showReasons returns the rights of callers that see everything if trusted returns true.
func showReasons(trusted func(context.Context) bool) func(context.Context) *access.Rights {
	return func(ctx context.Context) *access.Rights {
		if trusted(ctx) {
			return access.ReadEvidence
		}
		return access.ReadStatus
	}
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
		w := newWorld(t, Config{Rights: byName, StandardRights: byName})
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

// TestHiddenNames: a name that the caller may not read is answered as a name that nobody knows, whether it
// exists or not.
func TestHiddenNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Rights: byName, StandardRights: byName})
		w.publish(is("hidden/1", health.Serving))
		for _, name := range []string{"hidden/1", "hidden/2", "hidden"} {
			ctx := t.Context()
			_, err := w.mesh.Check(ctx, &pb.CheckRequest{Service: name})
			wantCode(t, err, codes.NotFound)
			if want := `service "` + name + `": not found`; status.Convert(err).Message() != want {
				t.Errorf("Check: %v, want %q", err, want)
			}
			_, err = w.stock.Check(ctx, &healthpb.HealthCheckRequest{Service: name})
			wantCode(t, err, codes.NotFound)
			stock, in := w.watchStock(t, name), w.watch(t, &pb.WatchRequest{Names: []string{name}})
			if got := stock.one().GetStatus(); got != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
				t.Errorf("%s: the stock Watch says %v", name, got)
			}
			wantLines(t, in.one(), name+" SERVICE_UNKNOWN")
			w.publish(is("hidden/1", health.NotServing), is("hidden", health.NotServing))
			stock.none()
			in.none()
		}
	})
}

// TestFilteredWatch: a caller that may not read every name learns neither the names of others nor how many
// changes they have. It does not learn how many services a root affects. A change of these alone is not sent.
func TestFilteredWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Rights: byName})
		pay := is("pay", health.NotServing)
		pay.Root, pay.Affected, pay.Dependencies = "hidden", 3, []health.Dependency{{Service: "db"}, {Service: "hidden", Soft: true}}
		w.publish(is("hidden", health.Serving), pay)
		in := w.watch(t, &pb.WatchRequest{})
		m := in.one()
		e := m.GetEntries()[0]
		if len(m.GetEntries()) != 1 || e.GetRoot() != "" || e.GetAffected() != 0 || e.GetRevision() != 0 || m.GetRevision() != 0 ||
			len(e.GetDependencies()) != 1 || e.GetDependencies()[0].GetService() != "db" {
			t.Errorf("%v", m)
		}
		pay.Affected++
		w.publish(pay)
		pay.Root = ""
		w.publish(is("hidden", health.NotServing), pay)
		in.none()
		pay.Root = "db" // it would not be the root if a hidden service had failed before
		w.publish(pay)
		in.none()
		l, err := w.mesh.List(t.Context(), &pb.ListRequest{})
		if err != nil || l.GetRevision() != 0 || len(l.GetEntries()) != 1 || l.GetEntries()[0].GetAffected() != 0 || l.GetEntries()[0].GetRoot() != "" {
			t.Errorf("List: %v, %v", l, err)
		}
		c, err := w.mesh.Check(t.Context(), &pb.CheckRequest{Service: "pay"})
		if err != nil || c.GetHealth().GetAffected() != 0 || c.GetHealth().GetRevision() != 0 || len(c.GetHealth().GetDependencies()) != 1 {
			t.Errorf("Check: %v, %v", c, err)
		}
	})
}

// TestFilteredResume: a resume token for a caller that may not read every name hides the revision and whether
// it has changed, and is accepted. After a resume, changes of others decide nothing about what is sent.
func TestFilteredResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Rights: byName})
		w.publish(is("pay", health.Serving))
		in := w.watch(t, &pb.WatchRequest{Heartbeat: every(1)})
		first := in.one().GetResumeToken()
		if plain, ok := wire.DecodeToken(first); ok {
			t.Errorf("everybody can read the token: %+v", plain)
		}
		w.publish(is("hidden", health.Serving))
		w.feed.Beat()
		one := in.one().GetResumeToken()
		w.feed.Beat()
		if two := in.one(); two.GetResumeToken() == one || one == first || two.GetRevision() != 0 {
			t.Errorf("two heartbeats without a change between them have equal tokens, or a revision: %v", two)
		}
		w.publish(is("pay", health.Degraded))
		in.one()
		again := w.watch(t, &pb.WatchRequest{ResumeToken: first})
		if m := again.one(); m.GetSnapshot() || m.GetGap() {
			t.Errorf("%v, want only the change", m)
		} else {
			wantLines(t, m, "pay DEGRADED")
		}
		forged := w.watch(t, &pb.WatchRequest{ResumeToken: wire.Token{Epoch: w.feed.Epoch(), Revision: 1}.Encode()})
		if m := forged.one(); !m.GetGap() || !m.GetSnapshot() {
			t.Errorf("%v, want a gap and a snapshot", m)
		}
	})
}
