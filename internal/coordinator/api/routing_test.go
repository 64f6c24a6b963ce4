package api

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// placed returns a placement as a text.
func placed(p *pb.Placement) string {
	if !p.GetPresent() {
		return "absent"
	}
	return strings.TrimSpace(fmt.Sprintf("%s p%d %d %s", p.GetHealth(), p.GetPriority(), p.GetLocalityWeight(), p.GetSubZone()))
}

// TestListRoutes: each instance has its place in both renderings, in pages of any size.
func TestListRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		statuses := []pb.Status{pb.Status_STATUS_SERVING, pb.Status_STATUS_DEGRADED, pb.Status_STATUS_NOT_SERVING, pb.Status_STATUS_MAINTENANCE}
		for i, status := range statuses {
			name := fmt.Sprintf("pay/%d", i)
			w.registered(instance(name))
			if err := w.send(forAnHour(name, status)); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{
			"0 HEALTHY HEALTHY p0 10000, HEALTHY p0 7000",
			"1 DEGRADED DEGRADED p0 10000, HEALTHY p0 3000 degraded",
			"2 UNHEALTHY UNHEALTHY p0 10000, absent",
			"3 DRAINING DRAINING p0 10000, absent",
		}
		for _, size := range []int32{0, 1, 2, 3, 4} {
			var got []string
			token := ""
			for {
				resp, err := w.admin.ListRoutes(t.Context(), &pb.ListRoutesRequest{Service: "pay", PageSize: size, PageToken: token})
				if err != nil {
					t.Fatal(err)
				}
				if resp.GetHealthyPercent() != 70 || resp.GetCounted() != 3 || resp.GetRoutable() != 2 || resp.GetHeld() != 0 {
					t.Errorf("the summary is %v", resp)
				}
				for _, i := range resp.GetInstances() {
					h := i.GetHealth()
					got = append(got, fmt.Sprintf("%s %s %s, %s", h.GetInstance(), strings.TrimPrefix(h.GetRoute().String(), "ROUTE_"), placed(i.GetSpillover()), placed(i.GetPlain())))
					if i.GetWhy() == "" || !strings.HasPrefix(h.GetEndpoint(), "192.0.2.7:") {
						t.Errorf("%v", i)
					}
				}
				if token = resp.GetNextPageToken(); token == "" {
					break
				}
				_, err = w.admin.ListRoutes(t.Context(), &pb.ListRoutesRequest{Service: "shop", PageToken: token})
				if d, _ := violation(err, "page_token"); !strings.Contains(d, "is that of another request") {
					t.Errorf("another service with this token: %v", err)
				}
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("pages of %d:\n%s\nwant\n%s", size, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		_, err := w.admin.ListRoutes(t.Context(), &pb.ListRoutesRequest{Service: "nobody"})
		wantCode(t, err, codes.NotFound, wire.ReasonNotFound)
		for _, bad := range []*pb.ListRoutesRequest{{}, {Service: "pay/1"}, {Service: "pay", PageSize: -1}, {Service: "pay", PageToken: "x"}} {
			_, err := w.admin.ListRoutes(t.Context(), bad)
			wantCode(t, err, codes.InvalidArgument, "")
		}
	})
}

// TestXDSClients: the connected clients and their resources come in pages.
func TestXDSClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.routing = true })
		w.registered(instance("a/1"), instance("b/1"), instance("c/1"))
		for _, node := range []string{"one", "two", "two"} {
			w.subscribe(node)
		}
		var nodes []string
		token := ""
		for {
			resp, err := w.admin.ListXDSClients(t.Context(), &pb.ListXDSClientsRequest{PageSize: 2, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range resp.GetClients() {
				nodes = append(nodes, fmt.Sprint(c.GetStream(), c.GetNode(), c.GetSubscriptions()[0].GetBehind()))
			}
			if token = resp.GetNextPageToken(); token == "" {
				break
			}
		}
		if got := strings.Join(nodes, " "); got != "1one3 2two3 3two3" {
			t.Errorf("the clients are %s", got)
		}
		for name, want := range map[string]string{"one": "a b c", "2": "a b c", "two": "", "nobody": ""} {
			var names []string
			token := ""
			for {
				resp, err := w.admin.ListXDSResources(t.Context(), &pb.ListXDSResourcesRequest{Node: name, BehindOnly: true, PageSize: 2, PageToken: token})
				if want == "" {
					wantCode(t, err, codes.NotFound, wire.ReasonNotFound)
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range resp.GetResources() {
					names = append(names, r.GetName())
				}
				if token = resp.GetNextPageToken(); token == "" {
					break
				}
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("the resources of %s are %q, want %q", name, got, want)
			}
		}
	})
}

// TestXDSResourcePages: the pages end, whatever printable text the type of a resource is.
func TestXDSResourcePages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.routing = true })
		stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(w.conn).DeltaAggregatedResources(t.Context())
		if err == nil {
			err = stream.Send(&discoverypb.DeltaDiscoveryRequest{
				Node: &corepb.Node{Id: "n"}, TypeUrl: "a b", ResourceNamesSubscribe: []string{"x y", "x z", "y"},
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var names []string
		for token := ""; len(names) == 0 || token != "" && len(names) < 9; {
			resp, err := w.admin.ListXDSResources(t.Context(), &pb.ListXDSResourcesRequest{Node: "n", PageSize: 1, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range resp.GetResources() {
				names = append(names, r.GetName())
			}
			token = resp.GetNextPageToken()
		}
		if got := strings.Join(names, ", "); got != "x y, x z, y" {
			t.Errorf("the pages have %s", got)
		}
	})
}

// TestXDSNeedsTheRight: a caller that may not see addresses learns which right it lacks.
func TestXDSNeedsTheRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		w := newWorld(t, func(s *setup) {
			s.routing, s.access = true, friends()
			s.creds, s.client = a.server(tls.VerifyClientCertIfGiven), nobody(a)
		})
		stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(w.conn).StreamAggregatedResources(t.Context())
		if err == nil {
			_ = stream.Send(&discoverypb.DiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: clusterURL})
			_, err = stream.Recv()
		}
		wantCode(t, err, codes.PermissionDenied, wire.ReasonNotAllowed)
		if text := "not allowed: a caller without an identity may not read the routes of any service; allowed: what a rule of the access policy says"; !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
		_, err = w.admin.ListRoutes(t.Context(), &pb.ListRoutesRequest{Service: "pay"})
		wantCode(t, err, codes.PermissionDenied, wire.ReasonNotAllowed)
	})
}

// TestRoutesHaveNoEvidence: the right to read routes shows where instances receive traffic, and their status.
// It shows no more than the detail that the caller may read.
func TestRoutesHaveNoEvidence(t *testing.T) {
	for _, detail := range append(access.Details(), access.Hidden) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(s *setup) {
				s.access = granting([]access.Verb{access.VerbRoute}, "pay")
				if detail > access.Hidden {
					s.access.Rules[0].Read = &access.Read{Services: []string{"pay"}, Detail: detail}
				}
			})
			_ = must(w.registry.Register(t.Context(), must(wire.Registrations(&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/1")}}))))
			o := &health.Override{Status: health.Maintenance, Author: "ann", Reason: "new disks", SetAt: time.Now()}
			if err := w.registry.SetOverride(t.Context(), must(health.ParseScope("pay/1")), o); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			resp, err := w.admin.ListRoutes(t.Context(), &pb.ListRoutesRequest{Service: "pay"})
			if err != nil {
				t.Fatal(err)
			}
			h := resp.GetInstances()[0].GetHealth()
			if h.GetStatus() != pb.Status_STATUS_MAINTENANCE || h.GetTraffic().GetAddress() == "" || h.GetRevision() != 0 {
				t.Errorf("%v: %v", detail, h)
			}
			if (h.GetAddress() != "") != (detail >= access.Evidence) || (h.GetOverride().GetAuthor() != "") != (detail >= access.Reason) {
				t.Errorf("%v: %v", detail, h)
			}
		})
	}
}
