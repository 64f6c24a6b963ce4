package api

import (
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
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
		if err := w.send(forever("zone=eu-1", pb.Status_STATUS_MAINTENANCE)); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string][]string{
			"pay/1":       {"pay/1 is MAINTENANCE for 0s", "ann forced this status 0s ago, for the scope zone=eu-1: new disks.", "No status was received from it since it registered; its address is 192.0.2.7:80."},
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
