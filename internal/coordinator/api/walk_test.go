package api

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// granting returns a policy that allows everybody the verbs on the services that patterns match, with all
// details.
func granting(verbs []access.Verb, patterns ...string) *access.Policy {
	r := access.Rule{Name: "granted", Who: []string{"anyone"}}
	for _, v := range verbs {
		switch v {
		case access.VerbRegister:
			r.Register = &access.Register{Services: patterns, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Instances: 100}
		case access.VerbReport:
			r.Report = &access.Services{Services: patterns}
		case access.VerbRead:
			r.Read = &access.Read{Services: patterns, Detail: access.Evidence}
		case access.VerbRoute:
			r.Route = &access.Services{Services: patterns}
		case access.VerbOverride:
			r.Override = &access.Override{Services: patterns}
		case access.VerbAdmin:
			r.Admin = true
		}
	}
	if len(verbs) == 0 {
		return &access.Policy{}
	}
	return &access.Policy{Rules: []access.Rule{r}}
}

// without returns all verbs but some.
func without(verbs ...access.Verb) []access.Verb {
	return slices.DeleteFunc(access.Verbs(), func(v access.Verb) bool { return slices.Contains(verbs, v) })
}

// walk says how to call one method, and which right it needs.
type walk struct {
	req   proto.Message
	needs []access.Verb // the caller needs one of them; none: everybody may call the method
	// general is true if the request is about everything, so that a right for some services is not enough.
	general bool
	// refused is a request that names the hidden service. nil: no request can name one. code is that of
	// its refusal.
	refused proto.Message
	code    codes.Code
}

const clusterURL = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

// walks has one walk for each method of the API. A new method needs its line here.
func walks(pay, hidden *pb.Lease) map[string]walk {
	const no, none = codes.PermissionDenied, codes.NotFound
	stock := func(name string) proto.Message { return &healthpb.HealthCheckRequest{Service: name} }
	register, report := []access.Verb{access.VerbRegister}, []access.Verb{access.VerbReport, access.VerbRegister}
	// Who may route may also read statuses.
	read, route, override := []access.Verb{access.VerbRead, access.VerbRoute}, []access.Verb{access.VerbRoute}, []access.Verb{access.VerbOverride}
	describe := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	return map[string]walk{
		healthpb.Health_Check_FullMethodName: {req: stock("pay"), needs: read, refused: stock("hidden"), code: none},
		// A Watch of an unknown name stays open, so it is not refused.
		healthpb.Health_Watch_FullMethodName:  {req: stock("pay"), needs: read},
		healthpb.Health_List_FullMethodName:   {req: &healthpb.HealthListRequest{}, needs: read},
		pb.HealthService_Check_FullMethodName: {req: &pb.CheckRequest{Service: "pay/1"}, needs: read, refused: &pb.CheckRequest{Service: "hidden/1"}, code: none},
		pb.HealthService_List_FullMethodName:  {req: &pb.ListRequest{}, needs: read},
		pb.HealthService_Watch_FullMethodName: {req: &pb.WatchRequest{}, needs: read},
		pb.RegistryService_Register_FullMethodName: {
			req: &pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/2"), instance("pay/3")}}, needs: register,
			refused: &pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/2"), instance("hidden/2")}}, code: no,
		},
		pb.RegistryService_Renew_FullMethodName: {req: renewal(pay), needs: register, refused: renewal(hidden), code: no},
		pb.RegistryService_Report_FullMethodName: {
			req: pushed(pay, pb.Status_STATUS_SERVING), needs: report, refused: pushed(hidden, pb.Status_STATUS_SERVING), code: no,
		},
		pb.RegistryService_Deregister_FullMethodName: {req: farewell(pay), needs: register, refused: farewell(hidden), code: no},
		pb.AdminService_SetOverride_FullMethodName: {
			req: good(), needs: override, refused: forAnHour("service=hidden,zone=eu-1", pb.Status_STATUS_SERVING), code: no,
		},
		pb.AdminService_ClearOverride_FullMethodName: {
			req: &pb.ClearOverrideRequest{Name: "service=pay,zone=eu-1"}, needs: override, refused: &pb.ClearOverrideRequest{Name: "hidden/1"}, code: no,
		},
		pb.AdminService_ListOverrides_FullMethodName:   {req: &pb.ListOverridesRequest{}, needs: read},
		pb.AdminService_ListTransitions_FullMethodName: {req: &pb.ListTransitionsRequest{}, needs: read, refused: &pb.ListTransitionsRequest{Name: "hidden"}, code: none},
		pb.AdminService_Explain_FullMethodName:         {req: &pb.ExplainRequest{Name: "pay"}, needs: read, refused: &pb.ExplainRequest{Name: "hidden"}, code: none},
		pb.AdminService_ListRoutes_FullMethodName:      {req: &pb.ListRoutesRequest{Service: "pay"}, needs: route, refused: &pb.ListRoutesRequest{Service: "hidden"}, code: none},
		pb.AdminService_ListXDSClients_FullMethodName:  {req: &pb.ListXDSClientsRequest{}, needs: read, general: true},
		pb.AdminService_ListXDSResources_FullMethodName: {
			req: &pb.ListXDSResourcesRequest{Node: "walker"}, needs: read, general: true,
		},
		discoverypb.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName: {
			req: &discoverypb.DiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: clusterURL}, needs: route,
		},
		discoverypb.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName: {
			req: &discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: clusterURL}, needs: route,
		},
		pb.AdminService_LearnAccess_FullMethodName: {
			req: &pb.LearnAccessRequest{Lasting: durationpb.New(time.Hour)}, needs: []access.Verb{access.VerbAdmin}, general: true,
		},
		pb.AdminService_GetCoordinator_FullMethodName:                     {req: &pb.GetCoordinatorRequest{}, needs: read, general: true},
		reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName: {req: describe},
		// Its messages have the same fields.
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {req: describe},
	}
}

// invoke calls a method of any kind with one request. It returns the answers as text, and
// the error with which the call has ended. A stream that stays open has ended without one.
func (c *visitor) invoke(method string, req proto.Message) (answers string, err error) {
	ctx, cancel := context.WithCancel(c.t.Context())
	stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err == nil {
		err = stream.SendMsg(req)
	}
	if err == nil && method != pb.RegistryService_Report_FullMethodName {
		err = stream.CloseSend()
	}
	if err != nil && !errors.Is(err, io.EOF) { // the server may have ended the call already
		c.t.Fatal(method, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			answer := newResponse(c.t, method)
			if err = stream.RecvMsg(answer); err != nil {
				return
			}
			answers += prototext.Format(answer)
		}
	}()
	synctest.Wait()
	cancel()
	<-done
	if code := status.Code(err); code == codes.Canceled || err.Error() == "EOF" {
		err = nil
	}
	return answers, err
}

// newResponse returns an empty response of a method.
func newResponse(t *testing.T, method string) proto.Message {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessage(d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name)).Output())
}

// methodsOf lists all methods that are registered.
func methodsOf(g *grpc.Server) (all []string) {
	for service, info := range g.GetServiceInfo() {
		for _, m := range info.Methods {
			all = append(all, "/"+service+"/"+m.Name)
		}
	}
	slices.Sort(all)
	return all
}

// newWalkedWorld has the instances pay/1 and hidden/1. Both are overridden. If the policy allows routes, it also
// has an xDS client.
func newWalkedWorld(t *testing.T, policy *access.Policy) (w *world, pay, hidden *pb.Lease) {
	t.Helper()
	w, pay, hidden = newCalmWorld(t, policy)
	if policy.Rules != nil && policy.Rules[0].Route != nil {
		w.subscribe("walker")
	}
	return w, pay, hidden
}

// newCalmWorld is a newWalkedWorld without an xDS client.
func newCalmWorld(t *testing.T, policy *access.Policy) (w *world, pay, hidden *pb.Lease) {
	t.Helper()
	w = newWorld(t, func(s *setup) { s.access, s.Reflection, s.routing = policy, true, true })
	regs := []*pb.Registration{instance("pay/1"), instance("hidden/1")}
	for _, r := range regs {
		r.Zone = "eu-1"
	}
	all := must(wire.Registrations(&pb.RegisterRequest{Registrations: regs}))
	for i := range all {
		all[i].Spec.Traffic.Address = wire.TrafficAddress(all[i].Spec.Traffic.Address, all[i].Spec.Address)
	}
	specs, err := w.registry.Register(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []health.Scope{{Service: "hidden", Instance: "1"}, {Service: "hidden", Zone: "eu-1"}, {Service: "pay", Zone: "eu-1"}, {Zone: "eu-1"}} {
		o := &health.Override{Scope: scope, Status: health.NotServing, Author: "ann", Reason: "disks"}
		if err := w.registry.SetOverride(t.Context(), scope, o); err != nil {
			t.Fatal(err)
		}
	}
	return w, leaseOf(must(wire.ParseInstance("pay/1")), specs[0]), leaseOf(must(wire.ParseInstance("hidden/1")), specs[1])
}

// subscribe opens the stream of an xDS client that asks for all clusters.
func (w *world) subscribe(node string) {
	synctest.Wait() // until the xDS server knows what is registered
	stream, err := discoverypb.NewAggregatedDiscoveryServiceClient(w.conn).DeltaAggregatedResources(w.t.Context())
	if err == nil {
		err = stream.Send(&discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: node}, TypeUrl: clusterURL})
	}
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// refusesCaller reports whether an error refuses a caller: it has too few rights, or the name does not exist for it.
func refusesCaller(err error) bool {
	return status.Code(err) == codes.PermissionDenied && wire.ReasonOf(err) == wire.ReasonNotAllowed ||
		status.Code(err) == codes.NotFound && wire.ReasonOf(err) == wire.ReasonNotFound
}

// TestEveryMethodNeedsItsRight: each registered method answers a caller who has all rights. Without the right
// that it needs, or with that right for another service only, it is refused or says nothing about a service.
func TestEveryMethodNeedsItsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := newWalkedWorld(t, granting(access.Verbs(), "*"))
		methods := methodsOf(w.server.Services())
		for _, method := range methods {
			need, ok := walks(nil, nil)[method]
			if !ok {
				t.Errorf("%s: no walk; add a line to walks", method)
				continue
			}
			for what, policy := range map[string]*access.Policy{
				"all":     granting(access.Verbs(), "*"),
				"pay":     granting(access.Verbs(), "pay"),
				"other":   granting(access.Verbs(), "other"),
				"nothing": granting(nil),
				"without": granting(without(need.needs...), "*"),
			} {
				w, pay, hidden := newWalkedWorld(t, policy)
				answers, err := w.invoke(method, walks(pay, hidden)[method].req)
				granted := len(need.needs) == 0 || what == "all" || what == "pay" && !need.general
				switch {
				case granted && err != nil:
					t.Errorf("%s with rights on %s: %v", method, what, err)
				case !granted && err != nil && !refusesCaller(err):
					t.Errorf("%s with rights on %s: refused by %v", method, what, err)
				case !granted && need.general && err == nil:
					t.Errorf("%s with rights on %s is not refused", method, what)
				case !granted && strings.Contains(answers, "pay"), what != "all" && what != "without" && strings.Contains(answers, "hidden"):
					t.Errorf("%s with rights on %s: answers what the policy hides: %s", method, what, answers)
				}
			}
		}
		if len(methods) != len(walks(nil, nil)) {
			t.Errorf("%d methods are registered, %d are walked: %q", len(methods), len(walks(nil, nil)), methods)
		}
	})
}

// TestEveryMethodRefusesHiddenNames: a request that names a hidden service is refused, and the error is the
// same as for a name that does not exist.
func TestEveryMethodRefusesHiddenNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, pay, hidden := newWalkedWorld(t, granting(access.Verbs(), "pay"))
		for method, walk := range walks(pay, hidden) {
			if walk.refused == nil {
				continue
			}
			answers, err := w.invoke(method, walk.refused)
			if status.Code(err) != walk.code || !refusesCaller(err) || answers != "" {
				t.Errorf("%s: %q, %v", method, answers, err)
			}
		}
	})
}

// TestGroupsOfListHide: List with group_by counts nothing that the policy hides.
func TestGroupsOfListHide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := newWalkedWorld(t, granting(access.Verbs(), "pay"))
		answers, err := w.invoke(pb.HealthService_List_FullMethodName, &pb.ListRequest{GroupBy: "service"})
		if err != nil || !strings.Contains(answers, "pay") || strings.Contains(answers, "hidden") {
			t.Errorf("answers %s, %v", answers, err)
		}
	})
}
