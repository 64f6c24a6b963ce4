package api

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/prototext"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/explain"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestExplain: each kind of name is explained from its state and the states around it.
func TestExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) {
			s.Services = func() map[string]health.ServicePolicy {
				return map[string]health.ServicePolicy{"pay": {DependsOn: []string{"db"}}}
			}
		})
		w.registered(in("pay/1", "eu-1", "core"), in("pay/2", "eu-2", "core"), in("shop/1", "eu-1", "web"))
		if err := w.send(forAnHour("zone=eu-1", pb.Status_STATUS_MAINTENANCE)); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string][]string{
			"pay/1":       {"pay/1 is MAINTENANCE for 0s", somebody + " forced this status 0s ago, for the scope zone=eu-1: new disks.", "No status was received from it since it registered; its address is 192.0.2.7:80."},
			"pay":         {"pay is STARTING for 0s", "MAINTENANCE: pay/1.", "STARTING: pay/2.", "It depends on db, which has no registered instance."},
			"pay/@eu-1":   {"pay in zone eu-1 is MAINTENANCE for 0s.", "MAINTENANCE: pay/1."},
			"*/eu-1":      {"Zone eu-1 is MAINTENANCE", "MAINTENANCE: pay/@eu-1, shop/@eu-1."},
			"*":           {"The mesh is STARTING", "MAINTENANCE: shop.", "STARTING: pay."},
			"":            {"The coordinator is SERVING"},
			"zone=eu-1/x": nil,
		} {
			resp, err := w.admin.Explain(t.Context(), &pb.ExplainRequest{Name: name})
			if want == nil {
				wantCode(t, err, codes.InvalidArgument, "")
				continue
			}
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			text := strings.Join(resp.GetSentences(), "\n")
			for _, part := range want {
				if !strings.Contains(text, part) {
					t.Errorf("%q: no %q in\n%s", name, part, text)
				}
			}
			if h := resp.GetHealth(); h.GetStatus() == 0 || nameIs(h) != name {
				t.Errorf("%q: %v", name, h)
			}
		}
		for _, name := range []string{"nobody", "pay/3", "*/eu-9", "pay/@eu-9"} {
			wantCode(t, w.send(&pb.ExplainRequest{Name: name}), codes.NotFound, wire.ReasonNotFound)
		}
	})
}

func nameIs(h *pb.Health) string {
	return health.ID{Service: h.GetService(), Instance: h.GetInstance()}.String()
}

// TestExplainStructure: layers, evidence, chain and next are in the answer, and have the times of the
// mesh.
func TestExplainStructure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) {
			s.Services = func() map[string]health.ServicePolicy { return explainPolicies }
			s.policy = health.MeshPolicy{Services: explainPolicies}
		})
		w.registered(in("db/1", "eu-1", "core"))
		w.registered(instance("pay/1"))
		w.failed(t, "db/1", "pay/1")
		time.Sleep(3 * time.Second)
		e := w.explained(t, "pay/1")
		var layers []string
		for _, l := range e.GetLayers() {
			layers = append(layers, l.GetName()+" "+l.GetOut().String())
		}
		const down = " STATUS_NOT_SERVING "
		if got := strings.Join(layers, " "); got != "reported"+down+"reach"+down+"guard"+down+"damping"+down+"override STATUS_NOT_SERVING" {
			t.Errorf("layers: %s", got)
		}
		if c := e.GetEvidence()[0]; c.GetSource() != "check disk" || c.GetCount() != 4 || c.GetText() != "full  [31m" {
			t.Errorf("evidence: %v", c)
		}
		var chain []string
		for _, l := range e.GetChain() {
			chain = append(chain, l.GetName()+" "+l.GetEdge().String())
		}
		if got := strings.Join(chain, ", "); got != "db EDGE_UNKNOWN, pay EDGE_HARD, pay/1 EDGE_MEMBER" {
			t.Errorf("chain: %s", got)
		}
		first := e.GetNext()[0]
		if at := first.GetAt().AsTime(); first.GetCause() != pb.Cause_CAUSE_LEASE_EXPIRED || !at.Equal(time.Now().Add(first.GetIn().AsDuration())) || first.GetUnless() != "its lease is renewed" {
			t.Errorf("next: %v", first)
		}
		// What was announced comes true.
		time.Sleep(first.GetIn().AsDuration())
		synctest.Wait()
		w.is("pay/1 NOT_SERVING")
		if h := w.check("pay/1"); h.GetCause() != pb.Cause_CAUSE_LEASE_EXPIRED {
			t.Errorf("after the announced time: %v", h)
		}
		if e := w.explained(t, "pay"); len(e.GetLayers()) != 0 || len(e.GetChain()) != 2 {
			t.Errorf("a service: %v", e)
		}
	})
}

var explainPolicies = map[string]health.ServicePolicy{"pay": {DependsOn: []string{"db"}}}

// failed reports a failed check for each instance.
func (w *world) failed(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		id := must(wire.ParseInstance(name))
		e, _ := w.registry.Feed().Get(id)
		check := health.CheckState{Name: "disk", Status: health.NotServing, Cause: health.CauseFailed, Reason: "full \x1b[31m", Fails: 4, LastRun: time.Now()}
		for _, r := range []mesh.Report{
			{Source: health.SourceMeshhealth, Status: health.Serving},
			{Source: health.SourceMeshhealth, Status: health.NotServing, Checks: []health.CheckState{check}},
		} {
			ev := mesh.Event{Kind: mesh.EventReport, ID: id, Lease: e.Spec.Lease, Proven: true, Report: r}
			if err := w.registry.Observe(t.Context(), ev, time.Time{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
	}
}

func (w *world) explained(t *testing.T, name string) *pb.ExplainResponse {
	t.Helper()
	e, err := w.admin.Explain(t.Context(), &pb.ExplainRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestExplainHides: an explanation names nothing that the caller may not inspect.
func TestExplainHides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) {
			s.Services = func() map[string]health.ServicePolicy { return explainPolicies }
			s.policy = health.MeshPolicy{Services: explainPolicies}
			s.access = granting([]access.Verb{access.VerbRead}, "pay")
			s.access.Rules = append(s.access.Rules, granting([]access.Verb{access.VerbRegister}, "*").Rules...)
			s.access.Rules[1].Name = "register"
		})
		w.registered(in("db/1", "eu-1", "core"), in("pay/1", "eu-1", "core"))
		w.failed(t, "db/1", "pay/1")
		wantCode(t, w.send(&pb.ExplainRequest{Name: "db"}), codes.NotFound, wire.ReasonNotFound)
		for _, name := range []string{"pay/1", "pay", "pay/@eu-1"} {
			e := w.explained(t, name)
			if text := prototext.Format(e); strings.Contains(text, "db") {
				t.Errorf("%s: %s", name, text)
			}
			if len(e.GetChain()) == 0 {
				t.Errorf("%s has no chain", name)
			}
		}
	})
}

// TestExplainWithoutTheMesh: if the mesh does not answer, the announced facts remain.
func TestExplainWithoutTheMesh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.registered(in("pay/1", "eu-1", "core"))
		w.stopRegistry()
		synctest.Wait()
		e := w.explained(t, "pay/1")
		if len(e.GetLayers()) != 0 || !strings.HasPrefix(e.GetSentences()[0], "pay/1 is STARTING") {
			t.Errorf("%v", e)
		}
	})
}

// TestExplainBounds: every text of an answer is cut and has no control characters.
func TestExplainBounds(t *testing.T) {
	long := strings.Repeat("x\x1b", 4*wire.MaxText)
	e := &explain.Explanation{
		Sentences: []string{long}, Layers: []explain.Layer{{Detail: long}}, Evidence: []explain.Evidence{{Source: long, Text: long, Count: -1}},
		Chain: []explain.Link{{Reason: long}}, Next: []explain.Change{{If: long, Unless: long}},
	}
	resp := explainResponse(&health.State{}, time.Now(), e)
	n := resp.GetNext()[0]
	for _, text := range []string{
		resp.GetSentences()[0], resp.GetLayers()[0].GetDetail(), resp.GetEvidence()[0].GetSource(), resp.GetEvidence()[0].GetText(),
		resp.GetChain()[0].GetReason(), n.GetIf(), n.GetUnless(),
	} {
		if len(text) > wire.MaxText || strings.Contains(text, "\x1b") || text == "" {
			t.Errorf("%d bytes: %.20q", len(text), text)
		}
	}
	if n.GetAt() != nil || n.GetIn() != nil || resp.GetEvidence()[0].GetAge() != nil || resp.GetEvidence()[0].GetCount() != 0 {
		t.Errorf("%v", resp)
	}
}
