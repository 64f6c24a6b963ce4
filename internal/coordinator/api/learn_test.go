package api

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// lesson is an open LearnAccess stream, and what it has sent.
type lesson struct {
	t     *testing.T
	set   access.Observations
	base  *access.Policy
	ended chan error
}

// learn opens a LearnAccess stream for a time, and waits until it has begun.
func (c *visitor) learn(lasting time.Duration, networks ...string) *lesson {
	c.t.Helper()
	stream, err := c.admin.LearnAccess(c.t.Context(), &pb.LearnAccessRequest{Lasting: durationpb.New(lasting), Networks: networks})
	if err != nil {
		c.t.Fatal(err)
	}
	l := &lesson{t: c.t, set: access.Observations{Limit: maxObservations}, base: &access.Policy{Tokens: map[string][]access.TokenHash{}}, ended: make(chan error, 1)}
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				l.ended <- err
				return
			}
			l.take(m)
		}
	}()
	synctest.Wait()
	return l
}

func (l *lesson) take(m *pb.LearnAccessResponse) {
	for _, u := range m.GetUses() {
		o, err := wire.AccessUseFrom(u)
		if err != nil {
			l.t.Error(err)
		}
		l.set.Add(o)
	}
	for _, c := range m.GetCallers() {
		l.set.AddInstances(c.GetIdentity(), int(c.GetInstances()))
		if name, is := strings.CutPrefix(c.GetIdentity(), "token:"); is {
			for _, h := range c.GetTokenHashes() {
				l.base.Tokens[name] = append(l.base.Tokens[name], access.TokenHash(h))
			}
		}
	}
}

// policy waits for the end of the stream, and returns the policy that was learnt.
func (l *lesson) policy() *access.Policy {
	l.t.Helper()
	if err := <-l.ended; !errors.Is(err, io.EOF) {
		l.t.Errorf("the lesson ended with %v", err)
	}
	p, leftOut := l.set.Learn(l.base)
	if len(leftOut) > 0 {
		l.t.Errorf("left out %q", leftOut)
	}
	if _, err := access.Compile(p); err != nil {
		l.t.Error(err)
	}
	return p
}

// describe returns what the rules of a policy allow, one text for each rule.
func describe(p *access.Policy) (texts []string) {
	for i := range p.Rules {
		texts = append(texts, strings.Join(p.Rules[i].Who, ", ")+": "+strings.Join(p.Rules[i].Summary(), "; "))
	}
	return texts
}

// registers returns what allows to register instances as the function instance makes them.
func registers(names ...string) string {
	services, ports := map[string]bool{}, []int{80}
	for _, name := range names {
		r := instance(name)
		_, port, _ := strings.Cut(r.GetTraffic().GetAddress(), ":")
		n, _ := strconv.Atoi(port)
		services[r.GetService()], ports = true, append(ports, n)
	}
	slices.Sort(ports)
	return fmt.Sprintf("register %s (at 192.0.2.7/32, with the ports %s; up to 10 instances)",
		strings.Join(slices.Sorted(maps.Keys(services)), ", "), strings.Trim(strings.ReplaceAll(fmt.Sprint(ports), " ", ", "), "[]"))
}

// needed has what each method of the API needs at least, in the words of a rule. A new method needs its line here.
var needed = map[string]string{
	healthpb.Health_Check_FullMethodName:         "read pay (detail status)",
	healthpb.Health_Watch_FullMethodName:         "read pay (detail status)",
	healthpb.Health_List_FullMethodName:          "read * (detail status)",
	pb.HealthService_Check_FullMethodName:        "read pay (detail status)",
	pb.HealthService_List_FullMethodName:         "read * (detail status)",
	pb.HealthService_Watch_FullMethodName:        "read * (detail status)",
	pb.RegistryService_Register_FullMethodName:   registers("pay/2", "pay/3"),
	pb.RegistryService_Renew_FullMethodName:      registers("pay/1"),
	pb.RegistryService_Report_FullMethodName:     registers("pay/1"),
	pb.RegistryService_Deregister_FullMethodName: registers("pay/1"),
	pb.AdminService_SetOverride_FullMethodName:   "override pay (up to 1h)",
	pb.AdminService_ClearOverride_FullMethodName: "override pay (up to 1s)",
	pb.AdminService_ListOverrides_FullMethodName: "read * (detail evidence)",

	pb.AdminService_ListTransitions_FullMethodName:  "read * (detail evidence)",
	pb.AdminService_Explain_FullMethodName:          "read pay (detail evidence)",
	pb.AdminService_ListRoutes_FullMethodName:       "route pay",
	pb.AdminService_ListXDSClients_FullMethodName:   "read * (detail evidence)",
	pb.AdminService_ListXDSResources_FullMethodName: "read * (detail evidence); route hidden, pay",
	pb.AdminService_GetCoordinator_FullMethodName:   "read * (detail evidence)",
	pb.AdminService_LearnAccess_FullMethodName:      "", // it is not observed

	discoverypb.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName: "route hidden, pay",
	discoverypb.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName:  "route hidden, pay",

	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      "",
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "",
}

// TestLearnEveryMethod calls each method while somebody learns. The learnt policy has what the method needs, and
// with it the same call works in another mesh.
func TestLearnEveryMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := newCalmWorld(t, granting(access.Verbs(), "*"))
		for _, method := range methodsOf(w.server.Services()) {
			want, ok := needed[method]
			if !ok {
				t.Errorf("%s: add a line to needed", method)
			}
			call := func(policy *access.Policy, lesson func(*world)) (string, error) {
				w, pay, hidden := newCalmWorld(t, policy)
				if lesson != nil {
					lesson(w)
				}
				if method == pb.AdminService_ListXDSResources_FullMethodName {
					w.subscribe("walker")
				}
				return w.invoke(method, walks(pay, hidden)[method].req)
			}
			var l *lesson
			answers, err := call(granting(access.Verbs(), "*"), func(w *world) {
				if method != pb.AdminService_LearnAccess_FullMethodName { // only one of them may learn
					l = w.learn(5 * time.Second)
				}
			})
			if err != nil {
				t.Errorf("%s: %v", method, err)
			}
			if l == nil {
				continue
			}
			policy := l.policy()
			var wanted []string
			if want != "" {
				wanted = []string{"anyone: " + want}
			}
			if got := describe(policy); !slices.Equal(got, wanted) {
				t.Errorf("%s: learnt %q, want %q", method, got, wanted)
			}
			again, err := call(policy, nil)
			if err != nil || (answers == "") != (again == "") {
				t.Errorf("%s with the learnt policy: %v, answers %d bytes, before %d", method, err, len(again), len(answers))
			}
		}
	})
}

// TestLearnOpenStreams checks that streams are observed that were open before, and names that come while they are
// open. A caller that may read only some services has read these.
func TestLearnOpenStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := granting(access.Verbs(), "pay", "shop.*")
		policy.Rules = append(policy.Rules, access.Rule{
			Name: "admin", Who: []string{"ext:admin"}, Admin: true, Read: &access.Read{Services: []string{"*"}, Detail: access.Evidence},
		})
		w := newWorld(t, func(s *setup) {
			s.access, s.routing = policy, true
			s.authenticate = func(ctx context.Context, _ []*x509.Certificate, _ string) (string, error) {
				if callerAddr(ctx).String() == home {
					return "", nil
				}
				return "admin", nil
			}
		})
		register := func(names ...string) (leases []*pb.Lease) {
			req := &pb.RegisterRequest{}
			for _, name := range names {
				req.Registrations = append(req.Registrations, instance(name))
			}
			resp, err := w.leases.Register(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			return resp.GetLeases()
		}
		lease := register("pay/1")[0]
		all, later := w.watch(&pb.WatchRequest{}), w.watch(&pb.WatchRequest{Names: []string{"shop.a", "other", ""}})
		resolver := w.watch(&pb.WatchRequest{Selector: &pb.Selector{Services: []string{"shop.b"}}})
		report := w.report(pushed(lease, pb.Status_STATUS_SERVING))
		synctest.Wait()
		l := w.call("192.0.2.2", insecure.NewCredentials()).learn(30 * time.Second)
		time.Sleep(time.Second)
		register("shop.a/1", "shop.b/1", "shop.c/1")
		p := l.policy()
		want := []string{
			"anyone: " + registers("pay/1") + "; read pay, shop.a, shop.c (detail status); route shop.b",
			"anyone: " + registers("shop.a/1"), "anyone: " + registers("shop.b/1"), "anyone: " + registers("shop.c/1"),
		}
		if got := describe(p); !slices.Equal(got, want) {
			t.Errorf("learnt %q, want %q", got, want)
		}
		_, _, _, _ = all, later, resolver, report
	})
}

// TestLearnOpenXDS checks that the subscriptions of xDS clients are observed: those from before, and new ones.
func TestLearnOpenXDS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.routing = true })
		register := func(name string) {
			regs := must(wire.Registrations(&pb.RegisterRequest{Registrations: []*pb.Registration{instance(name)}}))
			_ = must(w.registry.Register(t.Context(), regs))
		}
		register("pay/1")
		synctest.Wait()
		w.subscribe("walker")
		l := w.learn(5 * time.Second)
		register("shop/1")
		if got, want := describe(l.policy()), []string{"anyone: route pay, shop"}; !slices.Equal(got, want) {
			t.Errorf("learnt %q, want %q", got, want)
		}
	})
}

// TestLearnAddresses checks which addresses are learnt: of instances elsewhere, in given networks, of hosts with
// names, and in networks that need a proof.
func TestLearnAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := access.Open([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")})
		policy.Rules[0].Register.ProvenAddresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		w := newWorld(t, func(s *setup) { s.access = policy })
		l := w.learn(30*time.Second, "198.51.100.0/24", "198.51.100.0/25")
		at := func(name, address, traffic string) *pb.Registration {
			r := instance(name)
			r.Address, r.Traffic.Address = address, traffic
			return r
		}
		_, err := w.leases.Register(t.Context(), &pb.RegisterRequest{Registrations: []*pb.Registration{
			at("a/1", home+":1", ":2"), at("a/2", "192.0.2.77:1", ""), at("b/1", "198.51.100.1:1", ""), at("b/2", "198.51.100.200:1", ""),
			at("c/1", "db.internal:5", ""), at("d/1", "gone.internal:6", ""), at("e/1", "203.0.113.5:7", ""),
		}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c, _ := w.registry.Feed().Get(health.ID{Service: "c", Instance: "1"})
		if err := w.registry.Observe(t.Context(), mesh.Event{
			Kind: mesh.EventConnected, ID: c.ID, Lease: c.Spec.Lease, Spec: c.Spec, Peer: netip.MustParseAddr("192.0.2.9"), Proof: health.ProofRule,
		}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := <-l.ended; !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		p, leftOut := l.set.Learn(l.base)
		want := []string{
			"anyone: register a (at the address that you call from, 192.0.2.77/32, with the ports 1; up to 10 instances)",
			"anyone: register a (at the address that you call from, with the ports 2; up to 10 instances)",
			"anyone: register b (at 198.51.100.0/24, 198.51.100.0/25, with the ports 1; up to 10 instances)",
			"anyone: register c (at 192.0.2.9/32, with the ports 5; up to 10 instances)",
			"anyone: register e (at 203.0.113.5/32 (proven), with the ports 7; up to 10 instances)",
		}
		if got := describe(p); !slices.Equal(got, want) {
			t.Errorf("learnt %q, want %q", got, want)
		}
		if len(leftOut) != 1 || !strings.Contains(leftOut[0], "d at gone.internal:6") {
			t.Errorf("left out %q", leftOut)
		}
	})
}

// TestLearnOneAtATime checks that a second stream is refused, and that nothing is observed after the end of the
// first.
func TestLearnOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := newCalmWorld(t, granting(access.Verbs(), "*"))
		first, second := w.learn(time.Hour), w.learn(time.Hour)
		if err := <-second.ended; status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "one at a time") {
			t.Errorf("the second ended with %v", err)
		}
		if p := first.policy(); len(p.Rules) > 0 {
			t.Errorf("learnt %q from nothing", describe(p))
		}
		if w.access.learning() != nil {
			t.Error("the coordinator observes after the end of the stream")
		}
		third := w.learn(time.Hour)
		w.stop()
		if err := <-third.ended; status.Code(err) != codes.Unavailable {
			t.Errorf("a stream at the end of the coordinator: %v", err)
		}
	})
}

// TestLearnHasLimits checks that a learner keeps a bounded number of observations, and says how many it dropped.
func TestLearnHasLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		l := newLearner(&w.server.cfg, nil)
		rights := w.access.Anonymous()
		for i := range maxObservations + 10 {
			l.allowed(rights, access.Observation{Verb: access.VerbOverride}, access.Of(health.ID{Service: fmt.Sprint("s", i)}))
		}
		for i := range maxUnresolved + 10 {
			l.noteRegistrant(rights, health.ID{Service: "a", Instance: fmt.Sprint(i)}, netip.Addr{}, true)
		}
		if l.set.Count() != maxObservations || l.set.Dropped != 10 || len(l.unresolved) != maxUnresolved {
			t.Errorf("%d observations, %d dropped, %d unresolved", l.set.Count(), l.set.Dropped, len(l.unresolved))
		}
	})
}
